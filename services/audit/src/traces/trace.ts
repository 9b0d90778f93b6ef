import { AppError } from '@biz/errors';
import { companyOf, keyOf, millisecondsOf, type Span, timeOf } from './span.ts';
import type { TraceStore } from './store.ts';
import { batchesOf, batchSpans, inOrder, isWhole, ownSpans, type Placed } from './tree.ts';

/** Batches of a trace that are looked up; a trace has one or two for each of its events. */
const MOST_BATCHES = 100;

/**
 * A trace as the reader may see it, with the batches that its messages were worked on in. Throws `not_found` when there is no span that it may, whether
 * there is one or not.
 */
export async function readTrace({ store, most }: TraceParts, traceId: string, reader: Reader): Promise<object> {
  const found = await store.find([traceId], most + 1, reader.signal);
  const kept = found.slice(0, most);
  const own = ownSpans(kept, reader.scope);
  if (own.length === 0) {
    throw new AppError('not_found', 'There is no such trace.', { withheld: isForeign(kept, reader) ? 'wrong_company' : undefined });
  }
  const batches = batchesOf(own);
  const followed = batches.slice(0, MOST_BATCHES);
  const room = most - own.length;
  const beside = followed.length === 0 ? [] : await store.find([...new Set(followed.map((ref) => ref.traceId))], room + 1, reader.signal);
  const all = [...own, ...batchSpans(beside.slice(0, room), followed, reader.scope)];
  const cut = found.length > most || beside.length > room || batches.length > followed.length;
  return messageOf(traceId, inOrder(all), !cut && isWhole(all, followed));
}

/** Whether it is of others only: for security events. */
function isForeign(spans: readonly Span[], { companies }: Reader): boolean {
  const owners = spans.map(companyOf).filter((company) => company !== undefined);
  return companies !== undefined && owners.length > 0 && owners.every((owner) => !companies.includes(owner));
}

function messageOf(traceId: string, placed: readonly Placed[], complete: boolean): object {
  const spans = placed.map(({ span }) => span);
  const start = spans.reduce((least, span) => (span.start < least ? span.start : least), spans[0]?.start ?? 0n);
  const end = spans.reduce((most, { start, duration }) => (start + duration > most ? start + duration : most), start);
  const byStart = spans.toSorted((left, right) => Number(left.start - right.start));
  const shown = new Set(spans.map(keyOf));
  return {
    trace_id: traceId,
    started_at: timeOf(start),
    duration_ms: millisecondsOf(end - start),
    services: [...new Set(byStart.map(({ service }) => service))],
    spans: placed.map((one) => spanMessage(one, shown)),
    complete,
  };
}

function spanMessage({ span, depth }: Placed, shown: ReadonlySet<string>): object {
  const error = span.attributes['error.type'];
  return {
    trace_id: span.traceId,
    span_id: span.id,
    ...(span.parentId !== undefined && { parent_span_id: span.parentId }),
    depth,
    service: span.service,
    name: span.name,
    kind: span.kind,
    started_at: timeOf(span.start),
    duration_ms: millisecondsOf(span.duration),
    status: span.status,
    ...(typeof error === 'string' && { error_type: error }),
    attributes: JSON.stringify(span.attributes),
    // what a batch links to besides is of others
    links: span.links.filter((link) => shown.has(keyOf(link))).map(linkMessage),
  };
}

function linkMessage({ traceId, id }: Span['links'][number]): object {
  return { trace_id: traceId, span_id: id };
}

export interface TraceParts {
  store: TraceStore;
  /** Spans in one answer. */
  most: number;
}

interface Reader {
  /** Companies whose spans are shown. */
  scope: 'all' | readonly string[];
  /** Those that are the reader's; undefined of people of the platform. */
  companies: readonly string[] | undefined;
  signal: AbortSignal;
}
