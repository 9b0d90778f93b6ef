import type { Filter } from 'mongodb';
import type { StoreParts } from './parts.ts';
import { catchUp, saveCurrent } from './reading.ts';
import { isOutdated, outdatedVersions, Unfoldable } from './schema.ts';
import type { CurrentDocument } from './types.ts';

/**
 * Makes the folds that an earlier release left in `current` again, with today's upcasts: after a deployment all that are there, while both
 * releases run what the earlier one goes on writing. Gives how many were written. Safe to call from several processes and to repeat: a fold
 * gives way to one of its version or a later one only.
 */
export async function refold(parts: StoreParts, signal?: AbortSignal): Promise<number> {
  let written = 0;
  let left = 0;
  for (const [entity_type, rules] of Object.entries(parts.rules)) {
    const outdated = outdatedVersions(rules);
    if (outdated.length === 0) continue;
    const filter = { schema_version: { $in: outdated }, entity_type } as Filter<CurrentDocument>;
    for await (const { _id } of parts.current.find(filter, { projection: { _id: 1 } })) {
      if (signal?.aborted) return written;
      const entity = await foldable(parts, entity_type, _id);
      if (entity) await saveCurrent(parts, entity);
      if (entity) written += 1;
      else left += 1;
    }
  }
  if (left > 0) parts.log.warn({ left }, 'states that cannot be folded from their events stay as an earlier release left them');
  return written;
}

/** Entities read from `current`, those that an earlier release folded made again at the version that they have. */
export async function refreshed(parts: StoreParts, entities: readonly CurrentDocument[]): Promise<CurrentDocument[]> {
  return Promise.all(
    entities.map(async (entity) => {
      if (!isOutdated(parts.rules[entity.entity_type], entity)) return entity;
      return (await foldable(parts, entity.entity_type, entity._id, entity.version)) ?? entity;
    }),
  );
}

async function foldable(parts: StoreParts, entityType: string, id: string, upTo?: number): Promise<CurrentDocument | undefined> {
  try {
    return await catchUp(parts, entityType, id, undefined, upTo);
  } catch (error) {
    if (error instanceof Unfoldable) return undefined;
    throw error;
  }
}
