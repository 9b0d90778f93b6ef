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
 * Drops folds and makes them again from the events: the same bytes. Commands and reads by id go on meanwhile (they fall
 * back to the events); lists are complete when it ends. Everything: its claims are also taken again.
 */
export async function rebuild(parts: StoreParts, scope: 'all' | { entityType: string; entityId: string }): Promise<number> {
  if (scope !== 'all') {
    const entity = await catchUp(parts, scope.entityType, scope.entityId, undefined);
    await parts.current.deleteOne({ _id: scope.entityId });
    if (entity) await saveCurrent(parts, entity);
    return entity ? 1 : 0;
  }
  await parts.current.deleteMany({});
  let made = 0;
  let folded: CurrentDocument | undefined;
  let stream: string | undefined;
  for await (const event of parts.events.find({}).sort({ stream_id: 1, version: 1 })) {
    if (stream !== undefined && event.stream_id !== stream) {
      await keep(parts, folded);
      made += 1;
      folded = undefined;
    }
    stream = event.stream_id;
    folded = evolve(parts.rules, folded, event);
  }
  await keep(parts, folded);
  return folded ? made + 1 : made;
}

async function keep(parts: StoreParts, entity: CurrentDocument | undefined): Promise<void> {
  if (!entity) return;
  await saveCurrent(parts, entity);
  const stream = streamId(entity.entity_type, entity._id);
  await parts.claims.take(stream, entity.last_event_id, claimsOf(parts.rules, entity)).catch((error: unknown) => {
    parts.log.warn({ err: error, stream_id: stream }, 'two entities have the same unique value');
  });
}
