import { setTimeout as pause } from 'node:timers/promises';
import { BackupFault } from '@biz/backup';
import type { CheckpointDocument, Collections } from '../collections.ts';
import { checkpointOf } from '../integrity/logs.ts';
import { recordId } from '../keys.ts';
import type { LogKeys } from '../verify/log-keys.ts';

/** Of each log the size up to which it is taken. */
export interface Cut {
  at: Date;
  logs: CutLog[];
  /** Records that were there and are not in the cut: of batches in hand, or not signed yet. */
  beyond: number;
}

export interface CutLog {
  log_id: string;
  size: number;
  /** Root of its tree at that size, in base64. */
  root: string;
  /** The signed note that says so. */
  checkpoint: string;
}

export interface CutOptions {
  keys: LogKeys;
  /** How long is waited for the checkpoints of what is there. */
  signedWithinMs?: number;
  /** How long a cut is looked for in which no entity lacks a version. */
  closedWithinMs?: number;
}

const SIGNED_WITHIN_MS = 10_000;
const CLOSED_WITHIN_MS = 60_000;
const LOOK_MS = 250;
const CHUNK = 200;
/** One beyond the last digit: ends the range of a log's ids. */
const AFTER_DIGITS = ':';

/**
 * A moment of all logs that belongs together: each up to its newest signed checkpoint, which is waited for so that it covers what was there
 * at the call, and such that of every entity that is in it all earlier versions are, in whichever log. BackupFault when a log was never signed, a
 * checkpoint is not signed by the key, or no such moment comes.
 */
export async function takeCut(collections: Collections, options: CutOptions): Promise<Cut> {
  await awaitSigned(collections, options.signedWithinMs ?? SIGNED_WITHIN_MS);
  for (const until = performance.now() + (options.closedWithinMs ?? CLOSED_WITHIN_MS); ; await pause(LOOK_MS)) {
    const at = new Date();
    const { logs, unsigned } = await newestSigned(collections, options.keys);
    const late = performance.now() > until;
    if (unsigned !== undefined) {
      // a log's first checkpoint comes a moment after its first record
      if (late)
        throw new BackupFault(`The log ${unsigned} was never signed: does the audit run, and may it write to its file of checkpoints?`);
      continue;
    }
    const { beyond, torn } = await look(collections, logs);
    if (torn === undefined) return { at, logs, beyond };
    if (late) {
      throw new BackupFault(
        `No moment was found in which all versions of every entity are signed: ${torn} has one that is not, before one that is. Do the audit's consumers run? Try again`,
      );
    }
  }
}

/** Resolves when all that was there is signed; also when it is not in time: what is missing then is counted. */
async function awaitSigned(collections: Collections, withinMs: number): Promise<void> {
  const sizes = await collections.logs.find({ size: { $gt: 0 } }, { projection: { size: 1 } }).toArray();
  for (const until = performance.now() + withinMs; performance.now() < until; await pause(LOOK_MS)) {
    const newest = await Promise.all(sizes.map(({ _id }) => checkpointOf(collections, _id)));
    if (sizes.every(({ size }, at) => (newest[at]?.size ?? 0) >= size)) return;
  }
}

/** The newest checkpoint of each log, and a log that has none. */
async function newestSigned(collections: Collections, keys: LogKeys): Promise<{ logs: CutLog[]; unsigned: string | undefined }> {
  const sizes = await collections.logs.find({ size: { $gt: 0 } }, { projection: { size: 1 } }).toArray();
  const logs: CutLog[] = [];
  for (const { _id } of sizes.toSorted((one, other) => (one._id < other._id ? -1 : 1))) {
    const newest = await checkpointOf(collections, _id);
    if (newest === undefined) return { logs, unsigned: _id };
    logs.push(cutLogOf(newest, keys));
  }
  return { logs, unsigned: undefined };
}

/** What is signed counts, not what the document says beside it. */
function cutLogOf({ log_id, size, note }: CheckpointDocument, keys: LogKeys): CutLog {
  try {
    const signed = keys.open(note);
    if (signed.log_id === log_id && signed.size === size) return { log_id, size, root: signed.root.toString('base64'), checkpoint: note };
  } catch (cause) {
    throw new BackupFault(
      `The newest checkpoint of ${log_id} is not signed by this key (${(cause as Error).message}); "npm run verify" says more`,
      {
        cause,
      },
    );
  }
  throw new BackupFault(`The newest checkpoint of ${log_id} is of another log or size than its document says; "npm run verify" says more`);
}

/**
 * What stands beyond the cut, and an entity of which a version does while a later one, in another log, is in the cut. What is inserted after
 * this look has no later version in the cut, since a version is inserted only when the one before it is there.
 */
async function look(collections: Collections, logs: readonly CutLog[]): Promise<{ beyond: number; torn: string | undefined }> {
  const sizes = new Map(logs.map(({ log_id, size }) => [log_id, size]));
  let beyond = 0;
  for (const { log_id, size } of logs) {
    const range = { $gte: recordId(log_id, size), $lt: `${log_id}.${AFTER_DIGITS}` };
    let waiting = new Map<string, number>();
    for await (const { entity_key, version } of collections.records.find({ _id: range }, { projection: { entity_key: 1, version: 1 } })) {
      beyond += 1;
      waiting.set(entity_key, Math.min(version, waiting.get(entity_key) ?? version));
      if (waiting.size < CHUNK) continue;
      const torn = await laterInside(collections, waiting, sizes);
      if (torn !== undefined) return { beyond, torn };
      waiting = new Map();
    }
    const torn = await laterInside(collections, waiting, sizes);
    if (torn !== undefined) return { beyond, torn };
  }
  return { beyond, torn: undefined };
}

async function laterInside(
  collections: Collections,
  versions: ReadonlyMap<string, number>,
  sizes: ReadonlyMap<string, number>,
): Promise<string | undefined> {
  if (versions.size === 0) return undefined;
  const filter = { entity_key: { $in: [...versions.keys()] }, version: { $gt: Math.min(...versions.values()) } };
  const projection = { entity_key: 1, version: 1, log_id: 1, leaf_index: 1 };
  for await (const { entity_key, version, log_id, leaf_index } of collections.records.find(filter, { projection })) {
    if (version > (versions.get(entity_key) ?? 0) && leaf_index < (sizes.get(log_id) ?? 0)) return recordId(log_id, leaf_index);
  }
  return undefined;
}
