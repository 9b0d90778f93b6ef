import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '@biz/errors';
import { BSON } from 'mongodb';
import { claimsOf, fold, streamId } from './fold.ts';
import { isDuplicateKey } from './inserts.ts';
import type { StoreParts } from './parts.ts';
import { catchUp, saveCurrent } from './reading.ts';
import { add, type EntityReport, emptyReport, noSample, type RebuildReport } from './report.ts';
import { Unfoldable, upcast } from './schema.ts';
import type { CurrentDocument, EventDocument } from './types.ts';

export interface RebuildOptions {
  /** Changes nothing, and reports what would be. */
  dryRun?: boolean;
  /** One entity, instead of all (then documents without events and claims are not looked at). */
  entity?: { entityType: string; entityId: string };
  /** Told after each batch how many events were read. */
  onProgress?: (events: number) => void;
}

const BATCH = 500;
/** How often a fold is compared when `current` may be about to be written by a command, and the pause between. */
const LOOKS = 3;
const LOOK_AGAIN_MS = 100;
/** Longest that a command may take from its event to `current`; an older difference is one. */
const IN_FLIGHT_MS = 60_000;

/**
 * Folds every event again from the first one and compares with `current`, byte by byte; what differs or is missing is written, what has
 * no events is removed, claims are taken again. Commands and reads go on meanwhile: nothing is replaced that is of a later version. A
 * stream that lacks an event, or has one of a later release that is not readable here, is reported and left as it is. After a crash it is
 * simply called again. AppError `conflict` when there are no events at all beside a `current` that has some: what is left is not thrown away.
 */
export async function rebuild(parts: StoreParts, options: RebuildOptions = {}): Promise<RebuildReport> {
  const report = emptyReport();
  let batch: CurrentDocument[] = [];
  for await (const entity of foldAll(parts, options, report)) {
    batch.push(entity);
    if (batch.length < BATCH) continue;
    await settle(parts, options, report, batch);
    batch = [];
  }
  await settle(parts, options, report, batch);
  if (options.entity) return report;
  if (report.events === 0 && !options.dryRun && (await parts.current.findOne({}, { projection: { _id: 1 } }))) {
    throw new AppError('conflict', 'There are no events at all: restore them first. Nothing was changed.');
  }
  await removeOrphans(parts, options, report);
  return report;
}

/** Each stream folded; those that lack an event go to the report. */
async function* foldAll(parts: StoreParts, options: RebuildOptions, report: RebuildReport): AsyncGenerator<CurrentDocument> {
  const { entity: only, onProgress } = options;
  const filter = only ? { stream_id: streamId(only.entityType, only.entityId) } : {};
  let entity: CurrentDocument | undefined;
  let whole = true;
  for await (const event of parts.events.find(filter).sort({ stream_id: 1, version: 1 })) {
    if (report.events % BATCH === 0) onProgress?.(report.events);
    report.events += 1;
    if (entity && streamId(entity.entity_type, entity._id) !== event.stream_id) {
      const done = await completed(parts, entity, whole, report);
      if (done) yield done;
      [entity, whole] = [undefined, true];
    }
    const read = readable(parts, event);
    whole &&= read !== undefined && event.version === (entity?.version ?? 0) + 1;
    // Past what cannot be folded only the name is needed.
    entity = fold(parts.rules, entity, read ?? event);
  }
  const last = entity && (await completed(parts, entity, whole, report));
  if (last) yield last;
}

/** The event by today's schema; undefined when a later release wrote it in a way that is not known here. */
function readable({ rules }: StoreParts, event: EventDocument): EventDocument | undefined {
  try {
    return upcast(rules[event.meta.entity_type], event);
  } catch (error) {
    if (error instanceof Unfoldable) return undefined;
    throw error;
  }
}

/** A scan may have met an event without the one before it, which was just being inserted; asked again, the stream is whole. */
async function completed(
  parts: StoreParts,
  entity: CurrentDocument,
  whole: boolean,
  report: RebuildReport,
): Promise<CurrentDocument | undefined> {
  if (whole) return entity;
  try {
    return await catchUp(parts, entity.entity_type, entity._id, undefined);
  } catch (error) {
    if (!(error instanceof Unfoldable)) throw error;
    add(of(report, entity).incomplete, entity._id);
    return undefined;
  }
}

async function settle(parts: StoreParts, { dryRun }: RebuildOptions, report: RebuildReport, batch: CurrentDocument[]): Promise<void> {
  if (batch.length === 0) return;
  const { differing, missing } = await compared(parts, batch);
  for (const entity of batch) of(report, entity).entities += 1;
  for (const entity of differing) add(of(report, entity).differing, entity._id);
  for (const entity of missing) add(of(report, entity).missing, entity._id);
  if (!dryRun) await write(parts, differing, missing);
  await settleClaims(parts, dryRun === true, report, batch);
}

interface Compared {
  differing: CurrentDocument[];
  missing: CurrentDocument[];
}

/** What of the folds is not, byte for byte, what `current` holds. */
async function compared(parts: StoreParts, folds: readonly CurrentDocument[]): Promise<Compared> {
  let open = [...folds];
  for (let look = 1; ; look += 1) {
    const present = await rawById(parts, open);
    const folded = await Promise.all(open.map((entity) => foldedTo(parts, entity, present.get(entity._id)?.version ?? 0)));
    open = folded.filter((entity) => !present.get(entity._id)?.bytes.equals(bytesOf(entity)));
    const mayBeBehind = (entity: CurrentDocument) =>
      (present.get(entity._id)?.version ?? 0) < entity.version && parts.now().getTime() - Date.parse(entity.updated_at) < IN_FLIGHT_MS;
    if (look === LOOKS || !open.some(mayBeBehind)) {
      return { differing: open.filter(({ _id }) => present.has(_id)), missing: open.filter(({ _id }) => !present.has(_id)) };
    }
    await pause(LOOK_AGAIN_MS);
  }
}

/** The fold at a version that `current` has meanwhile; the fold as it is when `current` is not ahead. */
async function foldedTo(parts: StoreParts, entity: CurrentDocument, version: number): Promise<CurrentDocument> {
  return entity.version >= version ? entity : ((await catchUp(parts, entity.entity_type, entity._id, entity, version)) ?? entity);
}

function bytesOf(entity: CurrentDocument): Uint8Array {
  return BSON.serialize(entity, { ignoreUndefined: true });
}

async function rawById(parts: StoreParts, entities: readonly CurrentDocument[]): Promise<Map<string, { bytes: Buffer; version: number }>> {
  const found = await parts.current.find({ _id: { $in: entities.map(({ _id }) => _id) } }, { raw: true }).toArray();
  return new Map(
    (found as unknown as Uint8Array[]).map((raw) => {
      const { _id, version } = BSON.deserialize(raw);
      return [String(_id), { bytes: Buffer.from(raw), version: Number(version) }];
    }),
  );
}

/** Replaces whatever is there, unless it is of a later version. */
async function write(parts: StoreParts, differing: readonly CurrentDocument[], missing: readonly CurrentDocument[]): Promise<void> {
  if (differing.length > 0) {
    const writes = differing.map(({ _id, ...replacement }) => ({
      replaceOne: { filter: { _id, version: { $lte: replacement.version } }, replacement },
    }));
    await parts.current.bulkWrite(writes, { ordered: false });
  }
  if (missing.length === 0) return;
  try {
    await parts.current.insertMany([...missing], { ordered: false });
  } catch (error) {
    // Somebody read or changed one meanwhile, and wrote it.
    if (!isDuplicateKey(error)) throw error;
    for (const entity of missing) await saveCurrent(parts, entity);
  }
}

/** What is unique is claimed for who has it; a value that two have is named. */
async function settleClaims(parts: StoreParts, dryRun: boolean, report: RebuildReport, batch: readonly CurrentDocument[]): Promise<void> {
  const wanted = batch.flatMap((entity) =>
    claimsOf(parts.rules, entity).map((claim) => ({
      claim,
      stream: streamId(entity.entity_type, entity._id),
      eventId: entity.last_event_id,
    })),
  );
  if (wanted.length === 0) return;
  const open = await parts.claims.unheld(wanted);
  report.claims += open.length;
  for (const { stream, conflict } of dryRun ? [] : await parts.claims.restore(open)) {
    add(report.duplicates, stream);
    parts.log.warn({ err: conflict, stream_id: stream }, 'two entities have the same unique value');
  }
}

/** Documents of entities that have no event. */
async function removeOrphans(parts: StoreParts, { dryRun }: RebuildOptions, report: RebuildReport): Promise<void> {
  let batch: { _id: string; entity_type: string }[] = [];
  const look = async () => {
    const streams = batch.map(({ entity_type, _id }) => streamId(entity_type, _id));
    const first = parts.events.find({ stream_id: { $in: streams }, version: 1 }, { projection: { stream_id: 1 } });
    const known = new Set(await first.map(({ stream_id }) => stream_id).toArray());
    for (const [at, entity] of batch.entries()) {
      const stream_id = streams[at] as string;
      if (known.has(stream_id) || (await parts.events.findOne({ stream_id }, { projection: { _id: 1 } }))) continue;
      add(of(report, entity).extra, entity._id);
      if (!dryRun) await parts.current.deleteOne({ _id: entity._id });
    }
    batch = [];
  };
  for await (const { _id, entity_type } of parts.current.find({}, { projection: { entity_type: 1 } })) {
    batch.push({ _id, entity_type });
    if (batch.length === BATCH) await look();
  }
  await look();
}

function of(report: RebuildReport, { entity_type }: { entity_type: string }): EntityReport {
  report.types[entity_type] ??= { entities: 0, differing: noSample(), missing: noSample(), extra: noSample(), incomplete: noSample() };
  return report.types[entity_type];
}
