import { AppError } from '@biz/errors';
import type { Filter } from 'mongodb';
import type { Collections } from '../collections.ts';
import type { RecordDocument } from '../record.ts';
import { fetchPage, type Order, type Position, SEARCH_MS } from './page.ts';

/** Versions that one query looks at, at most; it begins with as many as are wanted, and looks at more where few pass the filters. */
const WIDEST = 2_000;

export interface VersionPage {
  /** Entities by their keys, ascending. */
  keys: readonly string[];
  /** What else a record must be like. */
  filter: object;
  after: Position | undefined;
  order: Order;
  size: number;
  deadline: Date;
}

/**
 * A page of records of some entities, entity by entity in order of version. Versions have no gaps, so each query names both ends of a range of
 * the unique index (entity, version): a page costs the same wherever it is in a long history. No index is named: no other one begins with the
 * entity, and named ones are not narrowed to the range by every server (the embedded one).
 */
export async function versionPage(collections: Collections, page: VersionPage): Promise<{ items: RecordDocument[]; more: boolean }> {
  const { keys, after, order, size } = page;
  const items: RecordDocument[] = [];
  for (const key of order === 1 ? keys : keys.toReversed()) {
    const isBefore = after !== undefined && (order === 1 ? key < after[0] : key > after[0]);
    if (isBefore) continue;
    const start = after?.[0] === key ? Number(after[1]) : undefined;
    items.push(...(await versionsOf(collections, page, key, start, size + 1 - items.length)));
    if (items.length > size) break;
  }
  return { items: items.slice(0, size), more: items.length > size };
}

/** Up to so many records of one entity, beyond a version. */
async function versionsOf(
  collections: Collections,
  { filter, order, deadline }: VersionPage,
  key: string,
  start: number | undefined,
  wanted: number,
): Promise<RecordDocument[]> {
  const newest = await newestVersion(collections, key);
  const latest = Math.min(deadline.getTime(), Date.now() + SEARCH_MS);
  const items: RecordDocument[] = [];
  // A token's version may be any number.
  let at = Math.min(Math.max(start ?? (order === 1 ? 0 : newest + 1), 0), newest + 1);
  for (let width = wanted; order === 1 ? at < newest : at > 1; width = Math.min(width * 2, WIDEST)) {
    if (Date.now() > latest) throw new AppError('timeout', 'The search takes too long; narrow it, by time for example.');
    const version = order === 1 ? { $gt: at, $lte: at + width } : { $lt: at, $gte: at - width };
    const cursor = collections.events.find({ ...filter, entity_key: key, version } as Filter<RecordDocument>).sort({ version: order });
    items.push(...(await fetchPage(cursor, wanted - items.length, deadline)).items);
    if (items.length === wanted) break;
    at += order * width;
  }
  return items;
}

/** The newest version of an entity, 0 without any. `entities` may be behind, so what is beyond is looked at. */
export async function newestVersion({ events, entities }: Pick<Collections, 'events' | 'entities'>, key: string): Promise<number> {
  const head = await entities.findOne({ _id: key }, { projection: { version: 1 } });
  const beyond = await events
    .find({ entity_key: key, version: { $gt: head?.version ?? 0 } })
    .project<{ version: number }>({ version: 1 })
    .toArray();
  return beyond.reduce((newest, { version }) => Math.max(newest, version), head?.version ?? 0);
}
