import { BSON, type Filter } from 'mongodb';
import { type Collections, indexes } from '../collections.ts';
import type { Position } from '../query/page.ts';
import { newestVersion } from '../query/version-page.ts';
import type { Walk } from '../query/walk.ts';
import type { RecordDocument } from '../record.ts';
import { type Found, matcher, type Outline, outlines, type QueryLimits } from './search.ts';

/** Which records a pass is over, and the ids of the first and last of each log. */
export interface Places {
  has(id: string): boolean;
  readonly edges: readonly string[];
}

/** The first stretch of time that is looked at, as a part of all: it finds its length by itself. */
const FIRST_PART = 64;
/** Records read at once by their ids: so many at first, then as many as are of about so many bytes, at most. They may be a megabyte each. */
const FIRST_READ = 10;
const READ_AT_ONCE = 100;
const READ_BYTES = 4_000_000;

/**
 * The records of a walk by time that are at some places, in stretches of its index. How long a stretch of time is depends on how
 * much the index has in it: about `span` entries.
 */
export async function* byTime(
  { events }: Collections,
  limits: QueryLimits,
  walk: Walk,
  places: Places,
  start?: Position,
): AsyncGenerator<Found> {
  const { lead, rest } = partsOf(walk);
  const look = (stretch: object) => outlines(events, { ...lead, ...stretch }, Object.keys(rest), { action_at: 1, _id: 1 }, limits);
  const wanted = filtered(places, rest);
  const take = (all: readonly Outline[]) => read(events, all.filter(wanted), limits, 'time', walk);
  /** What is left of one moment: an index may have any number of entries of it. */
  const moment = async function* (time: number, after: string): AsyncGenerator<Found> {
    for (let last: string | undefined = after; last !== undefined; ) {
      const all = await look({ action_at: new Date(time), _id: { $gt: last } });
      yield* take(all);
      last = all.length === limits.span ? all.at(-1)?._id : undefined;
    }
  };
  if (start) yield* moment(Number(start[0]), String(start[1]));
  const { first, last } = await timesOf(events, limits, walk, places);
  let width = Math.ceil((last + 1 - first) / FIRST_PART);
  for (let from = start ? Math.max(first, Number(start[0]) + 1) : first; from <= last; ) {
    const to = Math.min(from + width, last + 1);
    const all = await look({ action_at: { $gte: new Date(from), $lt: new Date(to) } });
    yield* take(all);
    const end = all.length === limits.span ? all.at(-1) : undefined;
    if (end?.action_at) {
      yield* moment(end.action_at.getTime(), end._id);
      from = end.action_at.getTime() + 1;
      width = Math.ceil(width / 2);
    } else {
      from = to;
      width *= 2;
    }
  }
}

/** The records of a walk by version that are at some places: entity by entity, `span` versions at a time. */
export async function* byVersion(
  collections: Collections,
  limits: QueryLimits,
  walk: Walk,
  places: Places,
  start?: Position,
): AsyncGenerator<Found> {
  const { lead, rest } = partsOf(walk);
  const { entity_key } = lead as { entity_key: string | { $in: string[] } };
  for (const key of typeof entity_key === 'string' ? [entity_key] : entity_key.$in) {
    if (start && key < start[0]) continue;
    const newest = await newestVersion(collections, key);
    const first = start?.[0] === key ? Number(start[1]) + 1 : 1;
    for (let version = first; version <= newest; version += limits.span) {
      const stretch = { entity_key: key, version: { $gte: version, $lt: version + limits.span } };
      const all = await outlines(collections.events, stretch, ['_id', ...Object.keys(rest)], { version: 1 }, limits);
      yield* read(collections.events, all.filter(filtered(places, rest)), limits, 'version', walk);
    }
  }
}

/** Whole records, in the order of their outlines. */
async function* read(
  events: Collections['events'],
  wanted: readonly Outline[],
  { batch, signal }: QueryLimits,
  by: 'time' | 'version',
  walk: Walk,
): AsyncGenerator<Found> {
  const most = Math.min(batch, READ_AT_ONCE);
  for (let from = 0, size = Math.min(most, FIRST_READ); from < wanted.length; ) {
    signal.throwIfAborted();
    const ids = wanted.slice(from, from + size).map(({ _id }) => _id);
    from += size;
    const found = new Map((await events.find({ _id: { $in: ids } }).toArray()).map((record) => [record._id, record]));
    const records = ids.flatMap((id) => found.get(id) ?? []);
    if (records.length === 0) continue;
    const largest = Math.max(...records.map((record) => BSON.calculateObjectSize(record)));
    size = Math.min(most, Math.max(1, Math.floor(READ_BYTES / largest)));
    yield { records, at: (record) => ({ by, position: walk.position(record) }) };
  }
}

/**
 * Between which times a walk's records are. The first and last records of the logs say it almost; what the index has before and after
 * is little, and what a query has to look at.
 */
async function timesOf(events: Collections['events'], limits: QueryLimits, walk: Walk, { edges }: Places) {
  const { lead, range } = partsOf(walk);
  const known = await events.find({ _id: { $in: [...edges] }, kind: 'event' }, { projection: { action_at: 1 } }).toArray();
  const times = known.map(({ action_at }) => action_at.getTime());
  const [low, high] = times.length > 0 ? [Math.min(...times), Math.max(...times)] : [0, 0];
  const beyond = async (action_at: object, direction: 1 | -1) => {
    const sort = { action_at: direction, _id: direction };
    const [end] = await outlines(events, { ...lead, action_at }, [], sort, { ...limits, span: 1 });
    return end?.action_at?.getTime();
  };
  const [earliest, latest] = await Promise.all([beyond({ $lt: new Date(low) }, 1), beyond({ $gt: new Date(high) }, -1)]);
  const [from, before] = [range.$gte?.getTime() ?? -Infinity, range.$lt?.getTime() ?? Infinity];
  return { first: Math.max(earliest ?? low, from), last: Math.min(latest ?? high, before - 1) };
}

interface Parts {
  /** What the walk's index begins with. */
  readonly lead: Readonly<Record<string, unknown>>;
  /** What is asked for of its times. */
  readonly range: { readonly $gte?: Date; readonly $lt?: Date };
  /** What the index does not answer. A record of an index is one of an event, so its kind is no question. */
  readonly rest: Readonly<Record<string, unknown>>;
}

function partsOf({ index, filter }: Walk): Parts {
  const keys = Object.keys(indexes.records.find(({ name }) => name === index)?.key ?? {});
  const { kind: _, action_at, ...asked } = filter;
  const entries = Object.entries(asked);
  return {
    lead: Object.fromEntries(entries.filter(([name]) => keys.includes(name))),
    range: (action_at ?? {}) as Parts['range'],
    rest: {
      ...Object.fromEntries(entries.filter(([name]) => !keys.includes(name))),
      ...(action_at !== undefined && !keys.includes('action_at') && { action_at }),
    },
  };
}

function filtered(places: Places, rest: Parts['rest']): (outline: Outline) => boolean {
  const matches = matcher(rest as Filter<RecordDocument>);
  return (outline) => places.has(outline._id) && matches(outline);
}
