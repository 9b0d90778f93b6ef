import { claimsOf, evolve, streamId } from './fold.ts';
import type { StoreParts } from './parts.ts';
import { catchUp, ensureCurrent, saveCurrent } from './reading.ts';
import type { CurrentDocument, EventDocument } from './types.ts';

const CHUNK = 500;

/** Brings `current` up to the events that are not yet published, or to all of them. Gives how many entities were behind. */
export async function repair(parts: StoreParts, scope: 'unpublished' | 'all'): Promise<number> {
  const filter = scope === 'all' ? {} : { published_at: null };
  const sort = scope === 'all' ? ({ stream_id: 1, version: 1 } as const) : ({ _id: 1 } as const);
  const cursor = parts.events.find(filter, { projection: { stream_id: 1, version: 1, meta: 1 } }).sort(sort);
  let behind = 0;
  let chunk: EventDocument[] = [];
  for await (const event of cursor) {
    chunk.push(event);
    if (chunk.length < CHUNK) continue;
    behind += await ensureCurrent(parts, chunk);
    chunk = [];
  }
  return behind + (chunk.length > 0 ? await ensureCurrent(parts, chunk) : 0);
}

/**
 * Folds again from the first event: the same bytes. Commands and reads go on meanwhile. With everything, documents that
 * have no events are removed, and claims are taken again.
 */
export async function rebuild(parts: StoreParts, scope: 'all' | { entityType: string; entityId: string }): Promise<number> {
  if (scope !== 'all') {
    const entity = await catchUp(parts, scope.entityType, scope.entityId, undefined);
    if (entity) await replaceCurrent(parts, entity);
    else await parts.current.deleteOne({ _id: scope.entityId });
    return entity ? 1 : 0;
  }
  let made = 0;
  for await (const entity of foldAll(parts)) {
    await replaceCurrent(parts, entity);
    await takeClaims(parts, entity);
    made += 1;
  }
  await removeOrphans(parts);
  return made;
}

async function* foldAll(parts: StoreParts): AsyncGenerator<CurrentDocument> {
  let entity: CurrentDocument | undefined;
  let stream: string | undefined;
  for await (const event of parts.events.find({}).sort({ stream_id: 1, version: 1 })) {
    if (entity && event.stream_id !== stream) {
      yield entity;
      entity = undefined;
    }
    stream = event.stream_id;
    entity = evolve(parts.rules, entity, event);
  }
  if (entity) yield entity;
}

/** Replaces whatever is there, unless it is of a later version. */
async function replaceCurrent(parts: StoreParts, entity: CurrentDocument): Promise<void> {
  const { _id, ...rest } = entity;
  const { matchedCount } = await parts.current.replaceOne({ _id, version: { $lte: entity.version } }, rest);
  if (matchedCount === 0) await saveCurrent(parts, entity);
}

async function takeClaims(parts: StoreParts, entity: CurrentDocument): Promise<void> {
  const stream = streamId(entity.entity_type, entity._id);
  await parts.claims.take(stream, entity.last_event_id, claimsOf(parts.rules, entity)).catch((error: unknown) => {
    parts.log.warn({ err: error, stream_id: stream }, 'two entities have the same unique value');
  });
}

async function removeOrphans(parts: StoreParts): Promise<void> {
  for await (const { _id, entity_type } of parts.current.find({}, { projection: { entity_type: 1 } })) {
    const first = await parts.events.findOne({ stream_id: streamId(entity_type, _id), version: 1 }, { projection: { _id: 1 } });
    if (!first) await parts.current.deleteOne({ _id });
  }
}
