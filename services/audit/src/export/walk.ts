import type { JsonValue } from '@biz/json';
import type { Collections } from '../collections.ts';
import { placeOf, recordId } from '../keys.ts';
import { bindingOf } from '../query/page.ts';
import { filterOf, type RecordFilters, walkOf } from '../query/records.ts';
import type { Scope } from '../query/scope.ts';
import type { RecordDocument } from '../record.ts';
import { type At, cursorPrefix, type ExportCursor, readCursor, type Sizes, writeCursor } from './cursor.ts';
import { byTime, byVersion, type Places } from './index-walk.ts';
import { batches, type Events, type Found, matcher, type Outline, outlines, type QueryLimits } from './search.ts';

export interface ExportRequest extends QueryLimits {
  readonly scope: Scope;
  readonly filters: RecordFilters;
  readonly cursor: string | undefined;
}

/** Some records, and for each the cursor that continues after it. */
export interface ExportBatch {
  readonly records: readonly RecordDocument[];
  readonly cursors: readonly string[];
}

/**
 * The records that the filters let through, batch by batch: first what is left of the pass that the cursor is from, then all that came since
 * it began. The last pass ends at what is there now, so that an export ends however much comes meanwhile. Each query looks at a bounded number
 * of records or index entries, so none takes long and memory is that of one batch (16 MB at most: what MongoDB answers at once).
 */
export async function* exportBatches(collections: Collections, request: ExportRequest): AsyncGenerator<ExportBatch> {
  const { scope, filters } = request;
  const binding = bindingOf(['export', scope as JsonValue, { ...filters } as JsonValue]);
  const given = request.cursor ? readCursor(request.cursor, binding) : undefined;
  const now = await sizesNow(collections, filters);
  const passes: ExportCursor[] = given
    ? [within(given, now), { from: given.upto, upto: now, at: undefined }]
    : [{ from: new Map(), upto: now, at: undefined }];
  const walk = await walkOf(collections, scope, filters);
  if (walk === undefined) return;
  for (const pass of passes) {
    const ranges = rangesOf(pass);
    if (ranges.length === 0) continue;
    const prefix = cursorPrefix(binding, pass);
    const position = pass.at !== undefined && pass.at.by !== 'log' ? pass.at.position : undefined;
    const through = walk.index === 'entity_version' ? byVersion : byTime;
    const found = isByIndex(pass, scope, filters)
      ? through(collections, request, walk, placesOf(ranges), position)
      : byLog(collections.events, request, filterOf(scope, filters), ranges, pass.at);
    for await (const { records, at } of found) {
      yield { records, cursors: records.map((record) => writeCursor(prefix, at(record))) };
    }
  }
}

/**
 * How far each log is: below its size all records are there for good. Ids of entities are looked up in `entities`, which may be behind
 * the log; `applied` says how far it is.
 */
async function sizesNow(collections: Collections, { entity_id }: RecordFilters): Promise<Sizes> {
  const logs = await collections.logs.find({}, { projection: { size: 1, applied: 1 } }).toArray();
  return new Map(logs.map(({ _id, size, applied }) => [_id, entity_id ? Math.min(size, applied) : size]));
}

/** A cursor never reaches beyond what is there: a store may have been restored from before it was made. */
function within({ from, upto, at }: ExportCursor, now: Sizes): ExportCursor {
  return { from, upto: new Map([...upto].map(([log, size]) => [log, Math.min(size, now.get(log) ?? 0)])), at };
}

/** Places of one log, as ids: from one, to before another. */
interface Range {
  readonly log: string;
  readonly low: number;
  readonly high: number;
}

function rangesOf({ from, upto }: ExportCursor): Range[] {
  const ranges = [...upto].map(([log, high]) => ({ log, low: from.get(log) ?? 0, high })).filter(({ low, high }) => low < high);
  return ranges.sort((a, b) => (a.log < b.log ? -1 : 1));
}

/**
 * Whether a pass goes through the index of its filters or along the logs; a pass that was begun goes on as it was. Along the logs costs what
 * is in the pass: everything the first time, what came since afterwards. Through an index costs what the index has for the filters, each time.
 */
function isByIndex({ from, at }: ExportCursor, scope: Scope, filters: RecordFilters): boolean {
  if (at) return at.by !== 'log';
  const { entity_id, trace_id, ownership_id, owner_id } = filters;
  if (entity_id || trace_id || ownership_id || owner_id) return true;
  const narrow = (scope !== 'all' && scope.length === 1) || filters.from || filters.to;
  return from.size === 0 && Boolean(narrow);
}

function placesOf(ranges: readonly Range[]): Places {
  const byLog = new Map(ranges.map((range) => [range.log, range]));
  return {
    has: (id) => {
      const { log, leaf } = placeOf(id);
      const range = byLog.get(log);
      return range !== undefined && leaf >= range.low && leaf < range.high;
    },
    edges: ranges.flatMap(({ log, low, high }) => [recordId(log, low), recordId(log, high - 1)]),
  };
}

/** Along the logs. Where not all is wanted, it is looked up first what is. */
async function* byLog(
  events: Events,
  limits: QueryLimits,
  filter: Readonly<Record<string, unknown>>,
  ranges: readonly Range[],
  start: At | undefined,
): AsyncGenerator<Found> {
  const done = start?.by === 'log' ? placeOf(start.id) : undefined;
  const at = ({ _id }: RecordDocument): At => ({ by: 'log', id: _id });
  const fields = Object.keys(filter);
  const isAll = fields.every((name) => name === 'kind');
  const width = isAll ? limits.batch : limits.span;
  for (const { log, low, high } of ranges) {
    if (done !== undefined && log < done.log) continue;
    const first = done !== undefined && log === done.log ? Math.max(low, done.leaf + 1) : low;
    for (let from = first; from < high; from += width) {
      const places = { _id: { $gte: recordId(log, from), $lt: recordId(log, Math.min(high, from + width)) } };
      const wanted = isAll ? [{ ...places, kind: 'event' as const }] : chosen(await outlines(events, places, fields, { _id: 1 }, limits));
      for (const one of wanted) {
        for await (const records of batches(events.find(one).sort({ _id: 1 }), limits)) yield { records, at };
      }
    }
  }

  function chosen(all: readonly Outline[]): { _id: { $in: string[] } }[] {
    const ids = all.filter(matcher(filter)).map(({ _id }) => _id);
    const count = Math.ceil(ids.length / limits.batch);
    return Array.from({ length: count }, (_, index) => ({ _id: { $in: ids.slice(index * limits.batch, (index + 1) * limits.batch) } }));
  }
}
