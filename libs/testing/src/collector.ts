import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';

export type Attributes = Readonly<Record<string, unknown>>;

/** What arrived, as it is on the wire: each with what its process says of itself. */
export type ReceivedSpan = {
  readonly service: string;
  readonly resource: Attributes;
  readonly name: string;
  readonly kind: number;
  readonly trace_id: string;
  readonly span_id: string;
  readonly parent_span_id: string;
  readonly trace_state: string;
  readonly attributes: Attributes;
  readonly events: readonly { name: string; attributes: Attributes }[];
  readonly links: readonly { trace_id: string; span_id: string; trace_state: string; attributes: Attributes }[];
  readonly status: { readonly code: number; readonly message: string };
};
export type ReceivedPoint = { readonly attributes: Attributes; readonly value: number; readonly count: number };
export type ReceivedMetric = {
  readonly service: string;
  readonly name: string;
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly unit: string;
  readonly temporality: number;
  readonly points: readonly ReceivedPoint[];
};
export type ReceivedLog = {
  readonly service: string;
  readonly severity: string;
  readonly body: unknown;
  readonly trace_id: string;
  readonly span_id: string;
  readonly attributes: Attributes;
};

/** Receives OTLP (protobuf over HTTP) and keeps it: what a process really sends can be looked at. It is no collector: nothing goes on. */
export type TestCollector = AsyncDisposable & {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  readonly spans: ReceivedSpan[];
  readonly metrics: ReceivedMetric[];
  readonly logs: ReceivedLog[];
  /** All bodies as they came, as text: for looking for what must not be there. */
  readonly raw: string[];
};

/** Starts one on a free port. */
export async function testCollector(): Promise<TestCollector> {
  const kept = { spans: [] as ReceivedSpan[], metrics: [] as ReceivedMetric[], logs: [] as ReceivedLog[], raw: [] as string[] };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const whole = Buffer.concat(chunks);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(whole) : whole;
    kept.raw.push(body.toString('latin1'));
    if (request.url === '/v1/traces') kept.spans.push(...spansOf(body));
    else if (request.url === '/v1/metrics') kept.metrics.push(...metricsOf(body));
    else if (request.url === '/v1/logs') kept.logs.push(...logsOf(body));
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    ...kept,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The parts of opentelemetry-proto (v1) that are looked at; what is not named is skipped by any reader of protobuf. */
const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message AnyValue { oneof value { string s = 1; bool b = 2; int64 i = 3; double d = 4; ArrayValue a = 5; bytes y = 7; } }
  message ArrayValue { repeated AnyValue values = 1; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message Event { string name = 2; repeated KeyValue attributes = 3; }
  message Link { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4; }
  message Status { string message = 2; int32 code = 3; }
  message Span { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
    repeated KeyValue attributes = 9; repeated Event events = 11; repeated Link links = 13; Status status = 15; }
  message ScopeSpans { repeated Span items = 2; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scopes = 2; }
  message Traces { repeated ResourceSpans resources = 1; }
  message Point { repeated KeyValue attributes = 7; double d = 4; sfixed64 i = 6; }
  message HistogramPoint { repeated KeyValue attributes = 9; fixed64 count = 4; double sum = 5; }
  message Gauge { repeated Point points = 1; }
  message Sum { repeated Point points = 1; int32 temporality = 2; }
  message Histogram { repeated HistogramPoint points = 1; int32 temporality = 2; }
  message Metric { string name = 1; string unit = 3; Gauge gauge = 5; Sum counter = 7; Histogram histogram = 9; }
  message ScopeMetrics { repeated Metric items = 2; }
  message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scopes = 2; }
  message Metrics { repeated ResourceMetrics resources = 1; }
  message LogRecord { string severity = 3; AnyValue body = 5; repeated KeyValue attributes = 6; bytes trace_id = 9; bytes span_id = 10; }
  message ScopeLogs { repeated LogRecord items = 2; }
  message ResourceLogs { Resource resource = 1; repeated ScopeLogs scopes = 2; }
  message Logs { repeated ResourceLogs resources = 1; }
`,
  { keepCase: true },
);

// biome-ignore lint/suspicious/noExplicitAny: decoded messages are looked at, not programmed against
type Message = any;

/** Every item of a request, with the attributes of the process that it is from. */
function itemsOf(type: string, body: Buffer): { item: Message; resource: Attributes }[] {
  const message = root.lookupType(type);
  const request: Message = message.toObject(message.decode(body), { longs: Number, defaults: true });
  return request.resources.flatMap(({ resource, scopes }: Message) =>
    scopes.flatMap(({ items }: Message) => items.map((item: Message) => ({ item, resource: attributesOf(resource?.attributes) }))),
  );
}

function spansOf(body: Buffer): ReceivedSpan[] {
  return itemsOf('Traces', body).map(({ item, resource }) => ({
    service: String(resource['service.name']),
    resource,
    name: item.name,
    kind: item.kind,
    ...idsOf(item),
    parent_span_id: hex(item.parent_span_id),
    trace_state: item.trace_state,
    attributes: attributesOf(item.attributes),
    events: item.events.map((event: Message) => ({ name: event.name, attributes: attributesOf(event.attributes) })),
    links: item.links.map((link: Message) => ({
      ...idsOf(link),
      trace_state: link.trace_state,
      attributes: attributesOf(link.attributes),
    })),
    status: { code: item.status?.code ?? 0, message: item.status?.message ?? '' },
  }));
}

function metricsOf(body: Buffer): ReceivedMetric[] {
  return itemsOf('Metrics', body).map(({ item, resource }) => {
    const kind = item.histogram ? 'histogram' : item.counter ? 'counter' : 'gauge';
    return {
      service: String(resource['service.name']),
      name: item.name,
      kind,
      unit: item.unit,
      temporality: item[kind]?.temporality ?? 0,
      points: (item[kind]?.points ?? []).map((point: Message) => ({
        attributes: attributesOf(point.attributes),
        value: point.sum ?? (point.d || point.i),
        count: point.count ?? 1,
      })),
    };
  });
}

function logsOf(body: Buffer): ReceivedLog[] {
  return itemsOf('Logs', body).map(({ item, resource }) => ({
    service: String(resource['service.name']),
    severity: item.severity,
    body: anyValue(item.body),
    ...idsOf(item),
    attributes: attributesOf(item.attributes),
  }));
}

function idsOf(item: Message): { trace_id: string; span_id: string } {
  return { trace_id: hex(item.trace_id), span_id: hex(item.span_id) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function attributesOf(pairs: Message[] = []): Attributes {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, anyValue(value)]));
}

function anyValue(value: Message): unknown {
  if (!value) return undefined;
  if (value.a) return value.a.values.map(anyValue);
  return value.s ?? value.b ?? value.i ?? value.d ?? value.y;
}
