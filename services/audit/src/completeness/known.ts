import type { Head } from '@biz/reconciliation';
import type { Collections } from '../collections.ts';
import { entityKey, indexKey } from '../keys.ts';
import type { Known } from './compare.ts';

/** Key of a head's entity in the audit. */
export function keyOf(head: Pick<Head, 'company_id' | 'entity_type' | 'entity_id'>): string {
  return entityKey(head.company_id ?? null, head.entity_type, head.entity_id);
}

/** What the audit knows of a batch of heads, in their order: two queries. */
export async function knownOf({ events, entities }: Collections, heads: readonly Head[]): Promise<Known[]> {
  const ids = heads.map(({ settled_event_id }) => settled_event_id).filter((id) => id !== '');
  const [records, newest] = await Promise.all([
    versionsOf({ events }, ids),
    entities.find({ _id: { $in: heads.map(keyOf) } }, { projection: { version: 1 } }).toArray(),
  ]);
  const versions = new Map(newest.map(({ _id, version }) => [_id, version]));
  return heads.map((head) => ({
    eventVersion: records.get(indexKey(head.settled_event_id)),
    entityVersion: versions.get(keyOf(head)) ?? 0,
  }));
}

/** Versions of the records of these events, by the key of the event id. */
async function versionsOf({ events }: Pick<Collections, 'events'>, eventIds: readonly string[]): Promise<Map<string, number>> {
  if (eventIds.length === 0) return new Map();
  const found = events.find({ event_id: { $in: eventIds.map(indexKey) } }, { projection: { event_id: 1, version: 1 } });
  return new Map((await found.toArray()).map(({ event_id, version }) => [event_id, version]));
}

/** Those of the events (by what `id` gives) that have no record. */
export async function withoutRecord<T>(
  collections: Pick<Collections, 'events'>,
  items: readonly T[],
  id: (item: T) => string,
): Promise<T[]> {
  const recorded = await versionsOf(collections, items.map(id));
  return items.filter((item) => !recorded.has(indexKey(id(item))));
}
