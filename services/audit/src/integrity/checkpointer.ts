import { insertMissing, startWorker, type Worker } from '@biz/eventstore';
import { consistencyProof, type Signer, signCheckpoint, verifyConsistency } from '@biz/merkle';
import { Binary, type Db } from 'mongodb';
import type { CheckpointDocument, Collections } from '../collections.ts';
import type { AuditStore } from '../ingest/store.ts';
import { edgeOf } from '../ingest/tree.ts';
import { checkpointId } from '../keys.ts';
import { watchCheckpointAge } from './checkpoint-age.ts';
import { checkpointOf, type LogTree, leavesOf, rootAt, treeOf } from './logs.ts';
import { appendWitness, newestWitnesses, type SignedRoot, type WitnessLine } from './witness.ts';

export interface CheckpointerParts {
  db: Db;
  collections: Collections;
  store: AuditStore;
  signerOf: (logId: string) => Signer;
  /** The file outside the database; without one checkpoints are in the database only. */
  file: string | undefined;
  /** The newest checkpoint of each log that is kept there. */
  outside?: ReadonlyMap<string, SignedRoot>;
  everyMs: number;
  log: {
    error(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

/** Leaves that one checkpoint adds at most, which bounds the line in the file; a log that is further is signed in steps. */
const MOST_LEAVES = 50_000;

/**
 * Signs what the logs have become, each second: first onto the file, then into the database, so that whoever is shown a checkpoint finds it
 * kept outside. One process signs (a lease); another takes over when it is gone. Disposing signs what has moved since the last second.
 */
export function startCheckpointer(parts: CheckpointerParts): Worker {
  const signed = new Map<string, number>();
  // Read once, when this process begins to sign: what is appended from then on goes on from it.
  let outside: ReturnType<typeof newestWitnesses> | undefined;
  const work = async () => {
    outside ??= newestWitnesses(parts.file);
    return signMoved({ ...parts, outside: await outside.catch(reset) }, signed);
  };
  const reset = (error: unknown) => {
    outside = undefined;
    throw error;
  };
  const worker = startWorker({ db: parts.db, lease: 'checkpoints', pollMs: parts.everyMs, finalRound: true, log: parts.log, work });
  const watch = watchCheckpointAge(parts.collections);
  return {
    wake: worker.wake,
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]();
      await worker[Symbol.asyncDispose]();
    },
  };
}

/** One round over the logs whose size is not the one in `signed`; true when one of them has more to sign. */
export async function signMoved(parts: CheckpointerParts, signed: Map<string, number>): Promise<boolean> {
  const { collections } = parts;
  const logs = await collections.logs.find({ size: { $gt: 0 } }, { projection: { size: 1 } }).toArray();
  const moved = logs.filter(({ _id, size }) => size !== signed.get(_id));
  const due = (await Promise.all(moved.map(({ _id }) => checkpointDue(parts, _id)))).filter((one) => one !== undefined);
  const fresh = due.filter(({ isNew }) => isNew);
  if (parts.file !== undefined) {
    await appendWitness(
      parts.file,
      fresh.map(({ line }) => line),
    );
  }
  await insertMissing(
    collections.checkpoints,
    fresh.map(({ document }) => document),
  );
  for (const { document } of due) signed.set(document.log_id, document.size);
  return due.some(({ more }) => more);
}

interface Due {
  document: CheckpointDocument;
  line: WitnessLine;
  /** It is not the one that is there already. */
  isNew: boolean;
  more: boolean;
}

async function checkpointDue(parts: CheckpointerParts, logId: string): Promise<Due | undefined> {
  const tree = (await treeOf(parts.collections, logId)) ?? (await plantedTree(parts, logId));
  if (tree === undefined) return undefined;
  // From the database each time: another process may have signed since.
  const last = await checkpointOf(parts.collections, logId);
  const from = last?.size ?? 0;
  // What is kept outside may be ahead of the database: by one when a process died between the two, by more when the database was rolled back.
  const kept = parts.outside?.get(logId);
  const signed = [last && { size: from, root: Buffer.from(last.root.value()) }, kept].filter((one) => one !== undefined);
  if (!(await extendsAll(tree, signed))) {
    parts.log.error(
      { log_id: logId, size: tree.size, signed_size: Math.max(from, kept?.size ?? 0) },
      'ALERT the log does not go on from what was signed; nothing of it is signed any more. Run the verification',
    );
    return undefined;
  }
  const size = Math.min(tree.size, from + MOST_LEAVES);
  const root = await rootAt(tree, size);
  const signer = parts.signerOf(logId);
  const note = signCheckpoint({ origin: signer.name, size, root }, signer);
  const hashes = await leavesOf(tree, from, size);
  return {
    document: { _id: checkpointId(logId, size), log_id: logId, size, root: new Binary(root), note, created_at: new Date() },
    line: { log_id: logId, from, size, checkpoint: note, leaf_hashes: Buffer.concat(hashes).toString('base64') },
    isNew: size > from,
    more: size < tree.size,
  };
}

/** Of a log that was begun before there were trees, and that no batch has come to since. */
async function plantedTree({ collections, store }: CheckpointerParts, logId: string): Promise<LogTree | undefined> {
  await edgeOf(store, logId, await store.logState(logId));
  return treeOf(collections, logId);
}

/** Whether the tree goes on from what was signed (RFC 6962, 2.1.2): a log that was cut, changed or rolled back must not get a signature. */
async function extendsAll(tree: LogTree, signed: readonly SignedRoot[]): Promise<boolean> {
  for (const one of signed) if (!(await extendsTree(tree, one))) return false;
  return true;
}

async function extendsTree(tree: LogTree, { size, root }: SignedRoot): Promise<boolean> {
  if (size > tree.size) return false;
  const [path, toRoot] = await Promise.all([consistencyProof(size, tree.size, tree.read), rootAt(tree, tree.size)]);
  return verifyConsistency({ from: size, to: tree.size, fromRoot: root, toRoot, path });
}
