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
