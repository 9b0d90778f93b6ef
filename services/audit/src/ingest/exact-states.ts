import type { Collections } from '../collections.ts';
import type { EntityState } from './batch.ts';

// Few at a time, so that a rare and long search leaves connections to others.
const AT_ONCE = 10;

/** States of entities from their records: what `entities` says is behind when a consumer crashed, or another one is at work. */
export async function exactStates(
  collections: Collections,
  keys: readonly string[],
  fromVersion: ReadonlyMap<string, number>,
): Promise<Map<string, EntityState>> {
  const heads = await collections.entities.find({ _id: { $in: [...keys] } }, { projection: { version: 1 } }).toArray();
  const raised = new Map(heads.map(({ _id, version }) => [_id, version]));
  const states = new Map<string, EntityState>();
  for (let from = 0; from < keys.length; from += AT_ONCE) {
    const part = keys.slice(from, from + AT_ONCE);
    const found = await Promise.all(
      part.map((key) => exactState(collections, key, Math.min(raised.get(key) ?? 1, fromVersion.get(key) ?? Number.POSITIVE_INFINITY))),
    );
    for (const [index, state] of found.entries()) {
      if (state !== undefined) {
        states.set(part[index] as string, state);
      }
    }
  }
  return states;
}

async function exactState({ events }: Collections, key: string, from: number): Promise<EntityState | undefined> {
  const versions = await events
    .find({ entity_key: key, version: { $gte: from } }, { projection: { version: 1, active_after: 1, is_active: 1 }, sort: { version: 1 } })
    .toArray();
  const newest = versions.at(-1);
  return (
    newest && {
      version: newest.version,
      newest: { record_id: newest._id, active: newest.active_after },
      flagged: versions.filter(({ is_active }) => is_active).map(({ _id }) => _id),
    }
  );
}
