import { PageRoom } from '@biz/service';
import type { Filter } from 'mongodb';
import type { Collections } from '../collections.ts';
import type { RecordDocument } from '../record.ts';
import { fetchPage, type Order, type Position } from './page.ts';

export interface VersionPage {
  /** Entities by their keys, ascending. */
  keys: readonly string[];
  /** What else a record must be like. */
  filter: Readonly<Record<string, unknown>>;
  after: Position | undefined;
  order: Order;
  size: number;
  deadline: Date;
}

/** Said by the entity's key and a version already. */
const implied: ReadonlySet<string> = new Set(['kind', 'company_id', 'entity_type', 'entity_id']);

/**
 * A page of records of some entities, entity by entity in order of version. Versions have no gaps, so where nothing else is filtered the query
 * names both ends of a range of the unique index (entity, version), and nothing but that: then every server, the embedded one too, reads
 * what is in the page and no more, wherever in a long history it is. No index is named: no other one begins with the entity.
 */
export async function versionPage(collections: Collections, page: VersionPage): Promise<{ items: RecordDocument[]; more: boolean }> {
  const { after, order, size } = page;
  const items: RecordDocument[] = [];
  const room = new PageRoom();
  for (const key of order === 1 ? page.keys : page.keys.toReversed()) {
    const isBefore = after !== undefined && (order === 1 ? key < after[0] : key > after[0]);
    if (isBefore) continue;
    const start = after?.[0] === key ? Number(after[1]) : undefined;
    const found = await versionsOf(collections, page, key, start, size + 1 - items.length, room);
    items.push(...found.items);
    if (found.more || items.length > size) return { items: items.slice(0, size), more: true };
  }
  return { items, more: false };
}

/** Up to so many records of one entity, beyond a version, and whether it has more in that stretch. */
async function versionsOf(
  collections: Collections,
  { filter, order, deadline }: VersionPage,
  key: string,
  start: number | undefined,
  wanted: number,
  room: PageRoom,
): Promise<{ items: RecordDocument[]; more: boolean }> {
  const rest = Object.entries(filter).filter(([name]) => !implied.has(name));
  const from = Math.max(start ?? (order === 1 ? 0 : (await newestVersion(collections, key)) + 1), 0);
  const [low, high] = order === 1 ? [from + 1, from + wanted] : [Math.max(from - wanted, 1), from - 1];
  const ends = { $gte: low, $lte: high };
  const beyond = order === 1 ? { $gte: low } : { $gte: 1, $lte: high };
  const filters = { entity_key: key, version: rest.length === 0 ? ends : beyond, ...Object.fromEntries(rest) };
  const cursor = collections.events.find(filters as Filter<RecordDocument>).sort({ version: order });
  return fetchPage(cursor, wanted, deadline, room);
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
