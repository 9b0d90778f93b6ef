import type { Collection } from 'mongodb';
import { evolve, type RulesByType, streamId } from './fold.ts';
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

/** One read of `current`; only an entity that is not there is looked for among the events. */
export async function load(reading: Reading, entityType: string, entityId: string): Promise<Loaded> {
  const entity = await reading.current.findOne({ _id: entityId, entity_type: entityType });
  if (entity) return { entity, fresh: false };
  return { entity: await catchUp(reading, entityType, entityId, undefined), fresh: true };
}

/** The entity with every event applied that it does not hold yet: one indexed read. */
export async function catchUp(
  reading: Reading,
  entityType: string,
  entityId: string,
  entity: CurrentDocument | undefined,
  upTo: number = Number.MAX_SAFE_INTEGER,
): Promise<CurrentDocument | undefined> {
  const newer = reading.events.find({
    stream_id: streamId(entityType, entityId),
    version: { $gt: entity?.version ?? 0, $lte: upTo },
  });
  let folded = entity;
  for await (const event of newer.sort({ stream_id: 1, version: 1 })) folded = evolve(reading.rules, folded, event);
  return folded;
}

/** The entity from `current` and the events after it. */
export async function loadFresh(reading: Reading, entityType: string, entityId: string): Promise<CurrentDocument | undefined> {
  const { entity, fresh } = await load(reading, entityType, entityId);
  return fresh ? entity : catchUp(reading, entityType, entityId, entity);
}

/** Writes a fold, unless `current` already holds this version or a newer one. */
export async function saveCurrent(reading: Reading, entity: CurrentDocument): Promise<void> {
  const { _id, ...rest } = entity;
  try {
    await reading.current.replaceOne({ _id, version: { $lt: entity.version } }, rest, { upsert: true });
  } catch (error) {
    // The upsert meets the document that the filter passed over: somebody wrote a newer fold.
    if (!isDuplicateKey(error)) throw error;
  }
}

/** Folds into `current` what the given events hold beyond it. Gives how many entities were behind. */
export async function ensureCurrent(
  reading: Reading,
  events: readonly Pick<EventDocument, 'stream_id' | 'version' | 'meta'>[],
): Promise<number> {
  const heads = new Map<string, { entityType: string; version: number }>();
  for (const { version, meta } of events) {
    const head = heads.get(meta.entity_id);
    if (!head || head.version < version) heads.set(meta.entity_id, { entityType: meta.entity_type, version });
  }
  const present = reading.current.find({ _id: { $in: [...heads.keys()] } }, { projection: { version: 1 } });
  for await (const { _id, version } of present) if (version >= (heads.get(_id)?.version ?? 0)) heads.delete(_id);
  for (const [entityId, { entityType }] of heads) {
    const entity = await loadFresh(reading, entityType, entityId);
    if (entity) await saveCurrent(reading, entity);
  }
  return heads.size;
}

/** Whether a unique index refused a write. */
export function isDuplicateKey(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 11000;
}
