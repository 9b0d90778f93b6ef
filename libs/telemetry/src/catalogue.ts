/** What is known of a metric: how it is told, and what its labels are. Labels take few values each: none is an id, a path or a name. */
export type MetricEntry = {
  readonly kind: 'counter' | 'histogram' | 'gauge';
  /** UCUM, as OpenTelemetry's conventions ask: `s`, `ms`, `By`, `1`, or what is counted in braces: `{message}`. */
  readonly unit: string;
  readonly description: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
};

const counts = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000];
const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const milliseconds = seconds.map((bound) => bound * 1_000);

/**
 * Every metric that a process of the fleet gives: what is not here is not exported, and a label that is not here is dropped.
 * `docs/observability.md` says of each when to page and what to do; tests hold the two, and what really leaves, together. Names are
 * OpenTelemetry's conventions where there is one, else `biz.<part>.<what>`.
 */
export const catalogue = {
  'http.server.request.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Requests of clients, from the first header until the answer was sent or broken off',
    labels: ['http.request.method', 'http.route', 'http.response.status_code', 'error.type'],
    buckets: seconds,
  },
  'rpc.server.duration': {
    kind: 'histogram',
    unit: 'ms',
    description: 'Calls that a service answered, from its admission until its status',
    labels: ['rpc.service', 'rpc.method', 'rpc.grpc.status_code', 'error.type'],
    buckets: milliseconds,
  },
  'biz.rpc.retries': {
    kind: 'counter',
    unit: '{call}',
    description: 'Calls that a process made again, by how the time before ended: nobody reached, not begun there, lost in the middle',
    labels: ['rpc.service', 'rpc.method', 'biz.rpc.loss'],
  },
  'biz.gateway.refusals': {
    kind: 'counter',
    unit: '{request}',
    description: 'Requests turned away for who their caller is: token, role, company, client',
    labels: ['error.type'],
  },
  'biz.sealing.key_cache.lookups': {
    kind: 'counter',
    unit: '{lookup}',
    description: 'Data keys asked for, and whether the cache of the process had them',
    labels: ['biz.cache.result'],
  },
  'biz.relay.waiting': {
    kind: 'gauge',
    unit: '{event}',
    description:
      'Events that a service committed and a relay has not delivered yet (counted up to 10,000); the same from each of its processes',
    labels: ['biz.relay'],
  },
  'biz.relay.oldest': {
    kind: 'gauge',
    unit: 's',
    description: 'Age of the oldest event that a relay has not delivered yet, 0 when none waits; the same from each process of the service',
    labels: ['biz.relay'],
  },
  'biz.relay.events': {
    kind: 'counter',
    unit: '{event}',
    description: 'Events that a relay delivered and marked; one that was delivered again after a crash counts again',
    labels: ['biz.relay'],
  },
  'biz.relay.batch.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'One batch of a relay, delivered and marked, or failed',
    labels: ['biz.relay', 'error.type'],
    buckets: seconds,
  },
  'biz.relay.batch.size': {
    kind: 'histogram',
    unit: '{event}',
    description: 'Events that a relay delivered at once',
    labels: ['biz.relay'],
    buckets: counts,
  },
  'messaging.process.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'One batch of a partition, worked on until it is durable, or failed: then it comes again',
    labels: ['messaging.destination.name', 'messaging.consumer.group.name', 'error.type'],
    buckets: seconds,
  },
  'messaging.client.consumed.messages': {
    kind: 'counter',
    unit: '{message}',
    description: 'Messages whose work is durable and whose offset is to be committed; one that came again counts again',
    labels: ['messaging.destination.name', 'messaging.consumer.group.name'],
  },
  'biz.consumer.batch.size': {
    kind: 'histogram',
    unit: '{message}',
    description: 'Messages of one partition worked on at once',
    labels: ['messaging.destination.name', 'messaging.consumer.group.name'],
    buckets: counts,
  },
  'biz.consumer.lag': {
    kind: 'gauge',
    unit: '{message}',
    description:
      'Messages of a partition beyond the committed offset of the group, as the brokers tell; the same from each process of the group',
    labels: ['messaging.destination.name', 'messaging.consumer.group.name', 'messaging.destination.partition.id'],
  },
  'biz.audit.records': {
    kind: 'counter',
    unit: '{record}',
    description: 'Records stored, durable and part of the tree',
    labels: [],
  },
  'biz.audit.dead_letters': {
    kind: 'counter',
    unit: '{message}',
    description: 'Messages that went to the dead letters; one whose batch came again counts again',
    labels: ['biz.dead_letter.code'],
  },
  'biz.audit.verifications': {
    kind: 'counter',
    unit: '{verification}',
    description: 'Verifications that ended: of integrity or completeness, and what they gave',
    labels: ['biz.verification.kind', 'biz.verification.result'],
  },
  'biz.audit.comparisons': {
    kind: 'counter',
    unit: '{comparison}',
    description: 'Comparisons of the audit with the heads that a service names, and how they ended',
    labels: ['biz.peer', 'biz.comparison.state'],
  },
  'biz.audit.findings.open': {
    kind: 'gauge',
    unit: '{finding}',
    description: 'Findings of completeness that are open (counted up to 10,000 a kind); the same from each process',
    labels: ['biz.finding.kind'],
  },
  'biz.audit.checkpoint.age': {
    kind: 'gauge',
    unit: 's',
    description:
      'For how long records have waited for a signed checkpoint while none was made, of the log that waits longest; 0 when all is signed',
    labels: [],
  },
  'biz.security.alerts': {
    kind: 'counter',
    unit: '{alert}',
    description: 'Alerts opened by a rule',
    labels: ['biz.alert.kind', 'biz.alert.severity'],
  },
  'biz.security.storage.waiting': {
    kind: 'gauge',
    unit: '{event}',
    description: 'Security events that a storage does not have yet (counted up to 100,000); the same from each process',
    labels: ['biz.storage'],
  },
  'biz.notification.attempts': {
    kind: 'counter',
    unit: '{attempt}',
    description: 'Attempts to hand a notification over, and how they ended',
    labels: ['biz.channel', 'biz.outcome'],
  },
  'biz.notification.oldest': {
    kind: 'gauge',
    unit: 's',
    description: 'For how long the notification that is due longest has been due, 0 when none is; the same from each process',
    labels: ['biz.channel'],
  },
  'biz.identity.keycloak_sync.waiting': {
    kind: 'gauge',
    unit: '{user}',
    description: 'Users whose state Keycloak does not have yet (counted up to 10,000); the same from each process',
    labels: [],
  },
  'biz.identity.keycloak_sync.oldest': {
    kind: 'gauge',
    unit: 's',
    description: 'For how long the user that waits longest has waited for Keycloak, refusals included; the same from each process',
    labels: [],
  },
  'biz.flags.evaluations': {
    kind: 'counter',
    unit: '{evaluation}',
    description: 'Feature flags asked for, and why they have their value; with an error type it was the default in code',
    labels: ['feature_flag.key', 'feature_flag.result.reason', 'error.type'],
  },
  'nodejs.eventloop.delay.p50': {
    kind: 'gauge',
    unit: 's',
    description: 'How late the event loop came to what was due, half of the times, since the last report',
    labels: [],
  },
  'nodejs.eventloop.delay.p99': { kind: 'gauge', unit: 's', description: 'The same, of 99 in 100', labels: [] },
  'nodejs.eventloop.delay.max': { kind: 'gauge', unit: 's', description: 'The same, at the worst', labels: [] },
  'nodejs.eventloop.utilization': {
    kind: 'gauge',
    unit: '1',
    description: 'Share of the time that the event loop was at work; at 1 the process can do no more',
    labels: [],
  },
  'process.memory.usage': { kind: 'gauge', unit: 'By', description: 'Memory of the process (resident set)', labels: [] },
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof catalogue;

/** Names of the metrics of one kind. */
export type MetricOf<Kind extends MetricEntry['kind']> = {
  [Name in MetricName]: (typeof catalogue)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];

/** Labels of a metric: those of the catalogue and no other. */
export type Labels<Name extends MetricName> = {
  readonly [Label in (typeof catalogue)[Name]['labels'][number]]?: string | number | boolean;
};
