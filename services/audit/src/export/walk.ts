import { AppError } from '@biz/errors';
import type { JsonValue } from '@biz/json';
import { type Filter, type FindCursor, MongoServerError } from 'mongodb';
import { type Collections, indexes } from '../collections.ts';
import { placeOf, recordId } from '../keys.ts';
import { bindingOf, type Position, SEARCH_MS, TIME_LIMIT_EXCEEDED } from '../query/page.ts';
import { filterOf, type RecordFilters, type Walk, walkOf } from '../query/records.ts';
import type { Scope } from '../query/scope.ts';
import type { RecordDocument } from '../record.ts';
import { type At, cursorPrefix, type ExportCursor, readCursor, type Sizes, writeCursor } from './cursor.ts';

export interface ExportRequest {
  readonly scope: Scope;
  readonly filters: RecordFilters;
  readonly cursor: string | undefined;
  /** Records given at once, at most. */
  readonly batch: number;
  /** Records, or entries of an index, that one query looks at. */
  readonly span: number;
  readonly signal: AbortSignal;
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
    const found = isByIndex(pass, scope, filters)
      ? byIndex(collections, request, walk, ranges, pass.at)
      : byLog(collections, request, filterOf(scope, filters), ranges, pass.at);
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

interface Found {
  readonly records: RecordDocument[];
  at(record: RecordDocument): At;
}

async function* byLog(
  { events }: Collections,
  request: ExportRequest,
  filter: object,
  ranges: readonly Range[],
  start: At | undefined,
): AsyncGenerator<Found> {
  const done = start?.by === 'log' ? placeOf(start.id) : undefined;
  const at = ({ _id }: RecordDocument): At => ({ by: 'log', id: _id });
  for (const { log, low, high } of ranges) {
    if (done !== undefined && log < done.log) continue;
    let from = done !== undefined && log === done.log ? Math.max(low, done.leaf + 1) : low;
    while (from < high) {
      const to = Math.min(high, from + request.span);
      const places = { _id: { $gte: recordId(log, from), $lt: recordId(log, to) } };
      let last: RecordDocument | undefined;
      let count = 0;
      const cursor = events.find({ $and: [filter, places] } as Filter<RecordDocument>).sort({ _id: 1 });
      for await (const records of batches(cursor.hint({ _id: 1 }), request)) {
        yield { records, at };
        last = records.at(-1);
        count += records.length;
      }
      from = last !== undefined && count === request.batch ? placeOf(last._id).leaf + 1 : to;
    }
  }
}

/**
 * Through the index of the filters. Each step looks up how far `span` entries of the index reach, by that index alone, and takes what is up to
 * there; without that, one query could look at an index to its end to find little.
 */
async function* byIndex(
  { events }: Collections,
  request: ExportRequest,
  walk: Walk,
  ranges: readonly Range[],
  start: At | undefined,
): AsyncGenerator<Found> {
  const by = walk.index === 'entity_version' ? 'version' : 'time';
  const at = (record: RecordDocument): At => ({ by, position: walk.position(record) });
  const sort = Object.fromEntries(walk.sort.map((field) => [field, 1 as const]));
  const places = { $or: ranges.map(({ log, low, high }) => ({ _id: { $gte: recordId(log, low), $lt: recordId(log, high) } })) };
  let position: Position | undefined = start !== undefined && start.by !== 'log' ? start.position : undefined;
  for (;;) {
    const end = await reach(events, request, walk, position);
    for (let more = true; more; ) {
      const after = position ? walk.after(position, 1) : {};
      const filter = { $and: [walk.filter, places, after, end ? upTo(walk, end) : {}] } as Filter<RecordDocument>;
      let count = 0;
      for await (const records of batches(events.find(filter).sort(sort).hint(walk.index), request)) {
        yield { records, at };
        position = walk.position(records.at(-1) as RecordDocument);
        count += records.length;
      }
      more = count === request.batch;
    }
    if (end === undefined) return;
    position = end;
  }
}

/** The position `span` entries ahead in the index of the walk; undefined when that is beyond its end. */
async function reach(
  events: Collections['events'],
  request: ExportRequest,
  walk: Walk,
  position: Position | undefined,
): Promise<Position | undefined> {
  request.signal.throwIfAborted();
  const sort = Object.fromEntries(walk.sort.map((field) => [field, 1 as const]));
  const filter = { $and: [leadOf(walk), position ? walk.after(position, 1) : {}] } as Filter<RecordDocument>;
  // All in the index, so no record is read for it.
  const projection = { _id: 0, ...Object.fromEntries(walk.sort.map((field) => [field, 1 as const])) };
  const ahead = events
    .find(filter, { projection })
    .sort(sort)
    .hint(walk.index)
    .skip(request.span - 1)
    .limit(1)
    .maxTimeMS(SEARCH_MS);
  const [found] = await ahead.toArray().catch(tooSlow);
  return found && walk.position(found);
}

/** The part of a walk's filter that its index answers alone. */
function leadOf({ index, filter }: Walk): object {
  const keys = Object.keys(indexes.records.find(({ name }) => name === index)?.key ?? {});
  return Object.fromEntries(Object.entries(filter).filter(([name]) => keys.includes(name)));
}

/** As `after` of the walk, but what is up to a position, itself included. */
function upTo({ sort: [first = '', second = ''] }: Walk, [at, id]: Position): object {
  const value = first === 'action_at' ? new Date(at) : at;
  return { [first]: { $lte: value }, $or: [{ [first]: { $lt: value } }, { [second]: { $lte: id } }] };
}

/** The answers of one query as MongoDB sends them: `batch` records at most together, 16 MB at most each. */
async function* batches(cursor: FindCursor<RecordDocument>, { batch, signal }: ExportRequest): AsyncGenerator<RecordDocument[]> {
  signal.throwIfAborted();
  const limited = cursor.limit(batch).batchSize(batch).maxTimeMS(SEARCH_MS);
  try {
    while (await limited.hasNext().catch(tooSlow)) {
      yield limited.readBufferedDocuments();
      signal.throwIfAborted();
    }
  } finally {
    await limited.close();
  }
}

function tooSlow(error: unknown): never {
  if (error instanceof MongoServerError && error.code === TIME_LIMIT_EXCEEDED) {
    throw new AppError('timeout', 'The search takes too long; continue after the last record, or narrow it.', { cause: error });
  }
  throw error;
}
