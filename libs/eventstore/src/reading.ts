import type { Collection, Filter } from 'mongodb';
import { evolve, type RulesByType, streamId } from './fold.ts';
import { isDuplicateKey } from './inserts.ts';
import type { StoreLog } from './log.ts';
import { isOutdated, outdatedVersions, Unfoldable } from './schema.ts';
import type { CurrentDocument, EventDocument } from './types.ts';

export interface Reading {
  events: Collection<EventDocument>;
  current: Collection<CurrentDocument>;
  rules: RulesByType;
}

export interface Loaded {
  entity: CurrentDocument | undefined;
  /** Whether the events were asked, so that nothing newer was there at that moment. */
  fresh: boolean;
}

/** A stream has later events than the one that it lacks (lost, or not yet restored). */
export class MissingEvent extends Unfoldable {
  constructor(stream: string, version: number) {
    super('unavailable', `Event ${version} of ${stream} is missing, though it has later ones; it has to be restored first.`);
  }
}

/** One read of `current`; only an entity that is not there, or was folded without upcasts of today, is read from its events. */
export async function load(reading: Reading, entityType: string, entityId: string): Promise<Loaded> {
  const entity = await reading.current.findOne({ _id: entityId, entity_type: entityType });
  if (entity && !isOutdated(reading.rules[entityType], entity)) return { entity, fresh: false };
  return { entity: await catchUp(reading, entityType, entityId, undefined), fresh: true };
}

/**
 * The entity with every event applied that it does not hold yet: one indexed read. A stream that lacks an event (lost, or not yet
 * restored) is never folded over the gap: MissingEvent.
 */
export async function catchUp(
  reading: Reading,
  entityType: string,
  entityId: string,
  entity: CurrentDocument | undefined,
  upTo: number = Number.MAX_SAFE_INTEGER,
): Promise<CurrentDocument | undefined> {
  const stream_id = streamId(entityType, entityId);
  let folded = entity;
  // A scan can pass the place of an event just before it is inserted, and then meet the next one: a second look finds it.
  for (let look = 1; look <= 2; look += 1) {
    let whole = true;
    const newer = reading.events.find({ stream_id, version: { $gt: folded?.version ?? 0, $lte: upTo } });
    for await (const event of newer.sort({ stream_id: 1, version: 1 })) {
      whole = event.version === (folded?.version ?? 0) + 1;
      if (!whole) break;
      folded = evolve(reading.rules, folded, event);
    }
    if (whole) return folded;
  }
  throw new MissingEvent(stream_id, (folded?.version ?? 0) + 1);
}

/** The entity from `current` and the events after it. */
export async function loadFresh(reading: Reading, entityType: string, entityId: string): Promise<CurrentDocument | undefined> {
  const { entity, fresh } = await load(reading, entityType, entityId);
  return fresh ? entity : catchUp(reading, entityType, entityId, entity);
}

/** Writes a fold, unless `current` already holds this version or a newer one; one of this version that lacks upcasts gives way. */
export async function saveCurrent(reading: Reading, entity: CurrentDocument): Promise<void> {
  const { _id, ...rest } = entity;
  const { version } = entity;
  const outdated = outdatedVersions(reading.rules[entity.entity_type]);
  const older = { _id, version: { $lt: version } };
  const filter = outdated.length > 0 ? { _id, $or: [older, { _id, version, schema_version: { $in: outdated } }] } : older;
  try {
    await reading.current.replaceOne(filter as Filter<CurrentDocument>, rest, { upsert: true });
  } catch (error) {
    // The upsert meets the document that the filter passed over: somebody wrote a newer fold.
    if (!isDuplicateKey(error)) throw error;
  }
}

/**
 * Folds into `current` what the given events hold beyond it. Gives how many entities were behind. A stream that lacks an event is left as
 * it is, as is one with an event that is not readable here, so that it holds up no other, unless a decision rests on it (`strict`).
 */
export async function ensureCurrent(
  reading: Reading & { log: StoreLog },
  events: readonly Pick<EventDocument, 'stream_id' | 'version' | 'meta'>[],
  { strict = false }: { strict?: boolean } = {},
): Promise<number> {
  const heads = new Map<string, { entityType: string; version: number }>();
  for (const { version, meta } of events) {
    const head = heads.get(meta.entity_id);
    if (!head || head.version < version) heads.set(meta.entity_id, { entityType: meta.entity_type, version });
  }
  const present = reading.current.find({ _id: { $in: [...heads.keys()] } }, { projection: { version: 1 } });
  for await (const { _id, version } of present) if (version >= (heads.get(_id)?.version ?? 0)) heads.delete(_id);
  for (const [entityId, { entityType }] of heads) {
    try {
      const entity = await loadFresh(reading, entityType, entityId);
      if (entity) await saveCurrent(reading, entity);
    } catch (error) {
      if (strict || !(error instanceof Unfoldable)) throw error;
      reading.log.warn({ err: error, stream_id: streamId(entityType, entityId) }, 'a stream cannot be folded; its state stays as it is');
    }
  }
  return heads.size;
}
