import { type EventSource, sourceOf } from '@biz/envelope';
import { canonicalJson, type JsonValue } from '@biz/json';
import { streamId } from './fold.ts';
import { isDuplicateKey } from './inserts.ts';
import type { Mark, StoreParts } from './parts.ts';
import { add, emptyRestoreReport, type RestoreReport } from './report.ts';
import type { EventDocument } from './types.ts';

/** An event as the audit gives it back. */
export interface RestoredEvent {
  envelope: JsonValue;
  /** What the audit does not have any more: `owner_ip` (retention), `extra` (erasure; blind indexes were in it). */
  erased?: readonly string[];
}

/**
 * Inserts those of the events that are not there, as published and with every reactor's mark set, since what followed from them has
 * happened. Nothing that is there is ever changed: an event with other content, or another one in its version, is reported.
 * May be repeated, after a crash too. What envelopes do not hold is not restored: idempotency keys, places in orders (fences), the span
 * in `traceparent`, the time of publication. Streams are whole once all of their events are in; until then they are not folded.
 */
export async function restore(
  parts: StoreParts,
  restored: readonly RestoredEvent[],
  { dryRun = false }: { dryRun?: boolean } = {},
): Promise<RestoreReport> {
  const report = emptyRestoreReport();
  report.events = restored.length;
  const wanted: Wanted[] = [];
  for (const { envelope, erased = [] } of restored) {
    const source = sourceOf(envelope);
    if (source && parts.rules[source.meta.entity_type]) wanted.push({ source, erased });
    else add(report.refused, idOf(envelope));
  }
  const missing = await compare(parts, wanted, report);
  const inserted = dryRun ? await withFreeVersion(parts, missing, report) : await insert(parts, missing, report);
  for (const { source, erased } of inserted) {
    add(report.missing, source._id);
    if (erased.includes('owner_ip')) report.without_address += 1;
    if (erased.includes('extra')) report.erased += 1;
  }
  return report;
}

interface Wanted {
  source: EventSource;
  erased: readonly string[];
}

/** Those that are not there; what is there otherwise goes to the report. */
async function compare(parts: StoreParts, wanted: readonly Wanted[], report: RestoreReport): Promise<Wanted[]> {
  const present = await parts.events.find({ _id: { $in: wanted.map(({ source }) => source._id) } }).toArray();
  const byId = new Map(present.map((event) => [event._id, event]));
  return wanted.filter((one) => {
    const there = byId.get(one.source._id);
    if (there && contentOf(there, one.erased) !== contentOf(one.source, one.erased)) add(report.differing, one.source._id);
    return !there;
  });
}

/** What an event says, without what an envelope does not hold and what the audit no longer has. */
function contentOf({ _id, version, type, schema_version, data, at, meta }: EventSource, erased: readonly string[]): string {
  const { traceparent: _, owner_ip, blind_indexes, ...rest } = meta;
  return canonicalJson({
    ...{ _id, version, type, schema_version, data: data as JsonValue, at },
    meta: {
      ...rest,
      ...(!erased.includes('owner_ip') && { owner_ip }),
      ...(!erased.includes('extra') && blind_indexes && { blind_indexes: { ...blind_indexes } }),
    },
  });
}

/** Those whose version no other event has. */
async function withFreeVersion(parts: StoreParts, missing: readonly Wanted[], report: RestoreReport): Promise<Wanted[]> {
  const streams = [...new Set(missing.map(({ source }) => streamOf(source)))];
  const versions = [...new Set(missing.map(({ source }) => source.version))];
  const projection = { stream_id: 1, version: 1 } as const;
  const taken = await parts.events.find({ stream_id: { $in: streams }, version: { $in: versions } }, { projection }).toArray();
  const places = new Set(taken.map(({ stream_id, version }) => `${version} ${stream_id}`));
  return missing.filter(({ source }) => {
    const free = !places.has(`${source.version} ${streamOf(source)}`);
    if (!free) add(report.differing, source._id);
    return free;
  });
}

/** One command; what the unique index of versions refused is another event's version, or was inserted by somebody else meanwhile. */
async function insert(parts: StoreParts, missing: readonly Wanted[], report: RestoreReport): Promise<Wanted[]> {
  if (missing.length === 0) return [];
  const at = parts.now();
  try {
    await parts.events.insertMany(
      missing.map(({ source }) => documentOf(source, parts.marks, at)),
      { ordered: false },
    );
    return [...missing];
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
  }
  const refused = new Set((await compare(parts, missing, report)).map(({ source }) => source._id));
  for (const id of refused) add(report.differing, id);
  return missing.filter(({ source }) => !refused.has(source._id));
}

function documentOf(source: EventSource, marks: readonly Mark[], at: Date): EventDocument {
  const { _id, version, type, schema_version, data, at: happened, meta } = source;
  return {
    _id,
    stream_id: streamOf(source),
    version,
    type,
    schema_version,
    data: data as EventDocument['data'],
    at: happened,
    meta,
    ...(Object.fromEntries(marks.map((mark) => [mark, at])) as Record<Mark, Date> & { published_at: Date }),
  };
}

function streamOf({ meta }: EventSource): string {
  return streamId(meta.entity_type, meta.entity_id);
}

function idOf(envelope: JsonValue): string {
  const { metadata } = (envelope ?? {}) as { metadata?: { event_id?: unknown } };
  return typeof metadata?.event_id === 'string' ? metadata.event_id.slice(0, 100) : '?';
}
