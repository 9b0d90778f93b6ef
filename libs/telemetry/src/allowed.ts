// The one place that says what may leave a process in spans, metrics and log records. What is not here is dropped by the exporters
// (exporters.ts), whoever put it on: our own code, an instrumentation, a later version of either.

/** A value that may leave; undefined when it may not. */
type Rule = (value: unknown) => string | number | boolean | undefined;

const text =
  (form: RegExp): Rule =>
  (value) =>
    typeof value === 'string' && form.test(value) ? value : undefined;

/** A name of ours or of a standard: begins with a letter, holds no white space, no `@`, no `%`, no `/`. */
const word = text(/^[A-Za-z_][\w.-]{0,63}$/);
/** An id as this project and Keycloak make them, or the name of a thing: no white space, no `@`. */
const id = text(/^[\w.-]{1,64}$/);
/** An id of an entity of ours, and nothing that a person would know: no CPF, no user name. */
const uuid = text(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const number: Rule = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : undefined);
const flag: Rule = (value) => (typeof value === 'boolean' ? value : undefined);
/** A pattern such as `/v1/teams/:id`: lower-case words and names of parameters, no digit but a version's, so that no raw path with an id passes. */
const route = text(/^(?=.{1,128}$)\/(?:[a-z_:.*/-]|(?<=\/v)\d)*$/);
const method = text(/^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT|_OTHER)$/);
/** gRPC tells statuses as numbers, HTTP too. */
const status: Rule = (value) => (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 1_000 ? value : undefined);

const shared = {
  'error.type': word,
  'http.request.method': method,
  'http.route': route,
  'http.response.status_code': status,
  'rpc.system': word,
  'rpc.service': word,
  'rpc.method': word,
  'rpc.grpc.status_code': status,
  'messaging.system': word,
  'messaging.operation.type': word,
  'messaging.operation.name': word,
  'messaging.destination.name': id,
  'messaging.destination.partition.id': id,
  'messaging.consumer.group.name': id,
  'messaging.batch.message_count': number,
  'messaging.kafka.offset': number,
  'db.system.name': word,
  'db.namespace': word,
  'db.collection.name': word,
  'db.operation.name': word,
} satisfies Record<string, Rule>;

/** Attributes of spans, their events and links. */
const spanRules = new Map<string, Rule>(
  Object.entries({
    ...shared,
    /** The tenant that the request was about, from its verified token: by it the reading of traces is checked. */
    'biz.company_id': id,
    'biz.event_type': word,
    'biz.entity_type': word,
    /** Whose change, and of what: a trace is found by them. Random ids, which mean something to our own stores only. */
    'biz.entity_id': uuid,
    'biz.ownership_id': uuid,
    'biz.reactor': word,
    'biz.channel': word,
    'biz.stream': flag,
    'biz.count': number,
  }),
);

/** Fields of log lines, by the names that they have there; the trace of a line travels beside its attributes. */
const logRules = new Map<string, Rule>(
  Object.entries({
    ...shared,
    code: (value: unknown) => word(value) ?? status(value),
    method,
    route,
    status,
    ms: number,
    rpc: text(/^\/[\w.]+\/\w+$/),
    reason: word,
    service: word,
    storage: word,
    channel: word,
    entity_type: word,
    event_type: word,
    action: word,
    topic: id,
    partition: number,
    offset: (value: unknown) => number(value) ?? id(value),
    groupId: id,
    log_id: id,
    base: number,
    behind: number,
    checked: number,
    deleted: number,
    dropped: number,
    failures: number,
    attempts: number,
    lost: number,
    refolded: number,
    waiting: number,
  } satisfies Record<string, Rule>),
);

/** Attributes of a metric's points: the labels of the catalogue, each with its rule here. */
const labelRules = new Map<string, Rule>(
  Object.entries({
    ...shared,
    'feature_flag.key': word,
    'feature_flag.result.reason': word,
    'biz.cache.result': text(/^(?:hit|miss)$/),
    'biz.rpc.loss': text(/^(?:unreachable|refused|lost)$/),
    'biz.relay': word,
    'biz.dead_letter.code': word,
    'biz.verification.kind': word,
    'biz.verification.result': word,
    'biz.peer': word,
    'biz.comparison.state': word,
    'biz.finding.kind': word,
    'biz.alert.kind': word,
    'biz.alert.severity': word,
    'biz.storage': word,
    'biz.channel': word,
    'biz.outcome': word,
  } satisfies Record<string, Rule>),
);

/** What a process says of itself: nothing of the machine, the command line or the person who started it. */
const resourceRules = new Map<string, Rule>(
  Object.entries({
    'service.name': id,
    'service.namespace': id,
    'service.version': id,
    'service.instance.id': id,
    'deployment.environment': id,
    'telemetry.sdk.language': word,
    'telemetry.sdk.name': word,
    'telemetry.sdk.version': id,
  } satisfies Record<string, Rule>),
);

export type Subject = 'span' | 'log' | 'label' | 'resource';

const rulesOf: Readonly<Record<Subject, ReadonlyMap<string, Rule>>> = {
  span: spanRules,
  log: logRules,
  label: labelRules,
  resource: resourceRules,
};

export type AllowedAttributes = Record<string, string | number | boolean>;

/** Those of the attributes that may leave, by name and by form. */
export function allowed(subject: Subject, attributes: Readonly<Record<string, unknown>>): AllowedAttributes {
  const rules = rulesOf[subject];
  const kept: AllowedAttributes = {};
  for (const name in attributes) {
    const value = rules.get(name)?.(attributes[name]);
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

/** Names that may leave; for the tests and the docs. */
export function allowedNames(subject: Subject): readonly string[] {
  return [...rulesOf[subject].keys()];
}

/** The name of a span: words of ours, a route, an RPC. Anything else is told as `other`. */
export function allowedSpanName(name: string): string {
  return spanNameForm.test(name) ? name : 'other';
}

/** `POST /v1/teams/:id`, `biz.team.v1.TeamService/CreateTeam`, `insert events`, `publish audit`. */
const spanNameForm = /^(?=.{1,128}$)[A-Za-z][\w.-]*(?:\/\w+)?(?: [a-z][a-z_.-]*)*(?: \/(?:[a-z_:.*/-]|(?<=\/v)\d)*)?$/;
