import { setTimeout as pause } from 'node:timers/promises';
import { isUnavailable } from '@biz/errors';
import { Binary, type Db, type Document, MongoServerError } from 'mongodb';
import { checkpointId, recordId, tileId } from '../keys.ts';
import type { StoredCheckpoint } from './checkpoint-walk.ts';
import type { VersionRow } from './entities.ts';
import type { Outside } from './outside.ts';
import type { VerifySource } from './source.ts';
import type { StoredLog, StoredTile } from './stored-tree.ts';

/** Documents asked for at once. */
const BATCH = { records: 2_000, tiles: 64, checkpoints: 500, unfinished: 500 };
const CURSOR_NOT_FOUND = 43;
const MOST_FAILURES = 5;
const FAILURE_PAUSE_MS = 500;
/** One beyond the last digit, and one beyond the slash: they end the range of a log's ids. */
const AFTER_DIGITS = ':';
const AFTER_SLASH = '0';

/** An id is a text in this collection unless somebody else wrote there. */
type Plain = Document & { _id: string };

/** Reads an audit's database, some records at once; the next are on their way while some are worked on. */
export function mongoSource(db: Db, outside: Outside, recordsAtOnce: number = BATCH.records): VerifySource {
  const records = db.collection<Plain>('records');
  const checkpoints = db.collection<Plain>('checkpoints');
  return {
    logs: async () => (await db.collection<Plain>('logs').find().toArray()).map(logOf),
    records: () => recordBatches(db, recordsAtOnce),
    strangeIds: async () => {
      // All texts stand side by side in the order of ids, so that others stand before or after them.
      const ends = [1, -1].map((order) =>
        records
          .find({}, { projection: { _id: 1 } })
          .sort({ _id: order as 1 | -1 })
          .limit(1)
          .toArray(),
      );
      return (await Promise.all(ends)).flatMap((found) => found.map(({ _id }): unknown => _id)).filter((id) => typeof id !== 'string');
    },
    tiles: async (logId, level, from) => {
      const range = { $gte: tileId(logId, level, from), $lt: tileId(logId, level, from + BATCH.tiles) };
      return (await db.collection<Plain>('tiles').find({ _id: range }).sort({ _id: 1 }).toArray()).map(tileOf);
    },
    checkpoints: (logId) => checkpointsOf(db, logId),
    checkpointLogs: async () => {
      const found: string[] = [];
      for (let from = ''; ; ) {
        const [first] = await checkpoints
          .find({ _id: { $gte: from } }, { projection: { _id: 1 } })
          .sort({ _id: 1 })
          .limit(1)
          .toArray();
        if (first === undefined) return found;
        const log = first._id.slice(0, Math.max(0, first._id.lastIndexOf('/')));
        found.push(log);
        from = `${log}${AFTER_SLASH}`;
        if (from <= first._id) from = `${first._id}\0`;
      }
    },
    newestCheckpoint: async (logId) => {
      const range = { $gte: checkpointId(logId, 0), $lt: `${logId}/${AFTER_DIGITS}` };
      const [newest] = await checkpoints.find({ _id: range }).sort({ _id: -1 }).limit(1).toArray();
      return newest && checkpointOf(newest);
    },
    recordsFrom: (logId, index) =>
      records
        .find({ _id: { $gte: recordId(logId, index), $lt: `${logId}.${AFTER_DIGITS}` } })
        .sort({ _id: 1 })
        .limit(BATCH.unfinished)
        .toArray(),
    versions: (entityKey) =>
      records
        .find<VersionRow>(
          { entity_key: entityKey },
          { projection: { log_id: 1, leaf_index: 1, version: 1, is_active: 1, active_after: 1 } },
        )
        .sort({ version: 1 }),
    outside,
  };
}

/**
 * Text that is no UTF-8 (a bit was changed on disk) is read with U+FFFD for it, so that its record is named instead of the reading broken off.
 * One cursor; when it is lost, or the server was away for a moment, another one from where it was. A batch is at most 16 MiB,
 * the most that a reply has.
 */
async function* recordBatches(db: Db, atOnce: number): AsyncGenerator<readonly Document[]> {
  const records = db.collection<Plain>('records');
  let last: string | undefined;
  for (let failures = 0; ; ) {
    const cursor = records
      .find({ _id: last === undefined ? { $gte: '' } : { $gt: last } }, { enableUtf8Validation: false })
      .sort({ _id: 1 })
      .batchSize(atOnce);
    try {
      for (let more = cursor.hasNext(); await more; ) {
        const batch = cursor.readBufferedDocuments();
        last = batch.at(-1)?._id ?? last;
        failures = 0;
        more = cursor.hasNext();
        // Awaited after the batch was worked on; a failure before that is not unheard.
        more.catch(() => undefined);
        yield batch;
      }
      return;
    } catch (error) {
      failures += 1;
      const isLost = isUnavailable(error) || (error instanceof MongoServerError && error.code === CURSOR_NOT_FOUND);
      if (!isLost || failures > MOST_FAILURES) throw error;
      await pause(FAILURE_PAUSE_MS * failures);
    } finally {
      await cursor.close().catch(() => undefined);
    }
  }
}

async function* checkpointsOf(db: Db, logId: string): AsyncGenerator<StoredCheckpoint> {
  const end = `${logId}${AFTER_SLASH}`;
  for (let last = `${logId}/`; ; ) {
    const page = await db
      .collection<Plain>('checkpoints')
      .find({ _id: { $gt: last, $lt: end } })
      .sort({ _id: 1 })
      .limit(BATCH.checkpoints)
      .toArray();
    yield* page.map(checkpointOf);
    const newest = page.at(-1);
    if (newest === undefined || page.length < BATCH.checkpoints) return;
    last = newest._id;
  }
}

function logOf({ _id, size, next_offset, root, edge }: Plain): StoredLog {
  return {
    log_id: String(_id),
    size: Number.isSafeInteger(size) && size >= 0 ? size : 0,
    next_offset: Number(next_offset),
    root: bytesOf(root),
    edge: Array.isArray(edge) ? edge.map((level) => bytesOf(level) ?? Buffer.alloc(0)) : undefined,
  };
}

function tileOf({ _id, log_id, level, index, hashes }: Plain): StoredTile {
  return { _id, log_id, level, index, hashes: bytesOf(hashes) ?? Buffer.alloc(0) };
}

function checkpointOf({ _id, log_id, size, root, note }: Plain): StoredCheckpoint {
  return { _id, log_id, size, root: bytesOf(root), note };
}

function bytesOf(value: unknown): Buffer | undefined {
  return value instanceof Binary ? Buffer.from(value.value()) : undefined;
}
