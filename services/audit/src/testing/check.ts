import { extendFrontier, frontierRoot } from '@biz/merkle';
import { expect } from 'vitest';
import type { Collections } from '../collections.ts';
import { leafOf } from '../leaf.ts';

/** What holds of every audit at rest: no hole, no fork, gapless versions, flags of newest versions only, heads and counts that fit. */
export async function checkAudit({ events, records, entities, ownerships, logs }: Collections): Promise<void> {
  for (const { _id, size, root } of await logs.find().toArray()) {
    const leaves = await records.find({ log_id: _id }).sort({ leaf_index: 1 }).toArray();
    expect(leaves.map(({ leaf_index }) => leaf_index)).toEqual(Array.from({ length: size }, (_, index) => index));
    const tree = extendFrontier({ size: 0, hashes: [] }, leaves.map(leafOf));
    expect(root?.toString('hex')).toBe(frontierRoot(tree).toString('hex'));
    const offsets = leaves.flatMap((one) => (one.kind === 'event' ? [one.offset] : []));
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  }
  const all = await events.find({ kind: 'event' }).sort({ entity_key: 1, version: 1 }).toArray();
  const byEntity = Map.groupBy(all, ({ entity_key }) => entity_key);
  const heads = new Map((await entities.find().toArray()).map((head) => [head._id, head]));
  expect(heads.size).toBe(byEntity.size);
  for (const [key, versions] of byEntity) {
    const newest = versions.at(-1);
    expect(versions.map(({ version }) => version)).toEqual(versions.map((_, index) => index + 1));
    expect(versions.filter(({ is_active }) => is_active).map(({ _id }) => _id)).toEqual(newest?.active_after ? [newest._id] : []);
    expect(heads.get(key)).toMatchObject({ version: newest?.version, record_id: newest?._id, is_active: newest?.active_after });
  }
  const counted = new Map((await ownerships.find().toArray()).map((one) => [`${one.company_id} ${one.ownership_id}`, one]));
  for (const [owner, owned] of Map.groupBy(all, ({ company_id, ownership_id }) => `${company_id} ${ownership_id}`)) {
    const times = owned.map(({ action_at }) => action_at.getTime());
    const found = counted.get(owner);
    expect(
      Object.values(found?.counts ?? {}).reduce((sum, { count }) => sum + count, 0),
      owner,
    ).toBe(owned.length);
    expect([found?.first_seen.getTime(), found?.last_seen.getTime()]).toEqual([Math.min(...times), Math.max(...times)]);
    expect([...(found?.entity_types ?? [])].sort()).toEqual([...new Set(owned.map(({ entity_type }) => entity_type))].sort());
  }
}
