/** A span as it is stored (infra/otel), its times in nanoseconds. */
export interface Span {
  traceId: string;
  id: string;
  parentId: string | undefined;
  service: string;
  name: string;
  kind: string;
  /** Since 1970. */
  start: bigint;
  duration: bigint;
  status: string;
  attributes: Readonly<Record<string, unknown>>;
  links: readonly Ref[];
}

export interface Ref {
  traceId: string;
  id: string;
}

/** The parts of the document that the collector writes (mapping mode `otel`) which are read here. */
export interface SpanDocument {
  '@timestamp': string | number;
  trace_id: string;
  span_id: string;
  parent_span_id?: string;
  name?: string;
  kind?: string;
  duration: number;
  status?: { code?: string };
  attributes?: Record<string, unknown>;
  links?: { trace_id?: string; span_id?: string }[];
  resource?: { attributes?: Record<string, unknown> };
}

export function spanOf(document: SpanDocument): Span {
  const { status, links = [], resource } = document;
  const service = resource?.attributes?.['service.name'];
  return {
    traceId: document.trace_id,
    id: document.span_id,
    parentId: document.parent_span_id || undefined,
    service: typeof service === 'string' ? service : 'unknown',
    name: document.name ?? '',
    kind: (document.kind ?? 'unspecified').toLowerCase(),
    start: nanosecondsOf(document['@timestamp']),
    duration: BigInt(Math.round(document.duration)),
    status: (status?.code ?? 'unset').toLowerCase(),
    attributes: document.attributes ?? {},
    links: links.flatMap(({ trace_id, span_id }) => (trace_id && span_id ? [{ traceId: trace_id, id: span_id }] : [])),
  };
}

/** The company that the span names as its own. */
export function companyOf({ attributes }: Span): string | undefined {
  const company = attributes['biz.company_id'];
  return typeof company === 'string' ? company : undefined;
}

/** One string for a span: ids of spans are unique in their trace only. */
export function keyOf({ traceId, id }: Ref): string {
  return `${traceId}:${id}`;
}

/** RFC 3339 with microseconds. */
export function timeOf(nanoseconds: bigint): string {
  const micros = String((nanoseconds / 1_000n) % 1_000n).padStart(3, '0');
  return new Date(Number(nanoseconds / 1_000_000n)).toISOString().replace('Z', `${micros}Z`);
}

export function millisecondsOf(nanoseconds: bigint): number {
  return Number(nanoseconds) / 1_000_000;
}

/**
 * The collector (0.120) writes milliseconds, a dot, and how many nanoseconds more, as a number without leading zeros: `1795283283334.100` are
 * 100 ns. A server that keeps no source as it came gives RFC 3339.
 */
function nanosecondsOf(timestamp: string | number): bigint {
  const [, milliseconds = '', more = ''] = /^(\d+)(?:\.(\d+))?$/.exec(String(timestamp)) ?? [];
  if (milliseconds !== '') return BigInt(milliseconds) * 1_000_000n + BigInt(more || 0);
  return BigInt(Date.parse(String(timestamp)) || 0) * 1_000_000n;
}
