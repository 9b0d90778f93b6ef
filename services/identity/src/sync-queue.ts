import type { Collection, Db, UpdateFilter } from 'mongodb';

/** A document of `keycloak_sync`: a user whose state Keycloak does not have yet. It goes once Keycloak has it. */
export interface SyncDocument {
  /** The user's id. */
  _id: string;
  /** Grows with every change that asks for the user, so that one that comes while Keycloak is being told is not lost. */
  wanted: number;
  due_at: Date;
  /** Refusals by Keycloak since the last change. */
  attempts: number;
  /** Why Keycloak refused, without personal data; null while it only waits. */
  last_error: string | null;
  since: Date;
  /** Of the last event that asked for the user: what Keycloak is told is part of its trace. */
  traceparent?: string;
}

/** The users that are to be told to Keycloak, durable: what is put in stays until it is done. */
export type SyncQueue = {
  ensureIndexes(): Promise<void>;
  /** Asks for users to be told, now; resolves when that is durable. `traceparents`: which event's trace each belongs to, by their ids. */
  add(userIds: readonly string[], traceparents?: ReadonlyMap<string, string>): Promise<void>;
  /** Asks for those of these users that are not asked for already. */
  addMissing(userIds: readonly string[]): Promise<void>;
  /** Whether all users were asked for less than this long ago; a queue that is new counts as just asked, since every event asks. */
  resyncedWithin(ms: number): Promise<boolean>;
  /** All users were asked for. */
  resynced(): Promise<void>;
  /** Those that are due, the longest due first. */
  due(limit: number): Promise<SyncDocument[]>;
  /** Done as it was asked when `entry` was read; asked again meanwhile (or done by another process beside), it stays. */
  done(entry: SyncDocument): Promise<void>;
  /** Keycloak refused: tried again after a pause that doubles, from 5 s to 1 h. */
  refused(entry: SyncDocument, reason: string): Promise<void>;
  /** What stands in the way of these users, by their id. */
  state(userIds: readonly string[]): Promise<Map<string, SyncDocument>>;
  /** How many wait (counted up to 10,000), and for how long the longest has, in seconds. */
  waiting(): Promise<{ count: number; oldest_s: number }>;
  /** How many wait, and how many of them Keycloak refused. */
  size(): Promise<{ waiting: number; refused: number }>;
};

const firstPauseMs = 5_000;
const longestPauseMs = 3_600_000;
const chunk = 1_000;
const MOST_COUNTED = 10_000;

export function createSyncQueue(db: Db): SyncQueue {
  const queue: Collection<SyncDocument> = db.collection('keycloak_sync', { writeConcern: { w: 'majority', journal: true } });

  const resyncs = db.collection<{ _id: string; at: Date }>('keycloak_resync', { writeConcern: { w: 'majority', journal: true } });

  async function upsertAll(userIds: readonly string[], updateOf: (userId: string) => UpdateFilter<SyncDocument>): Promise<void> {
    for (let at = 0; at < userIds.length; at += chunk) {
      const writes = userIds.slice(at, at + chunk).map((_id) => ({ updateOne: { filter: { _id }, update: updateOf(_id), upsert: true } }));
      await queue.bulkWrite(writes, { ordered: false });
    }
  }

  async function add(userIds: readonly string[], traceparents?: ReadonlyMap<string, string>): Promise<void> {
    const now = new Date();
    await upsertAll(userIds, (id) => {
      const traceparent = traceparents?.get(id);
      return {
        $inc: { wanted: 1 },
        $set: { due_at: now, attempts: 0, last_error: null, ...(traceparent !== undefined && { traceparent }) },
        $setOnInsert: { since: now },
      };
    });
  }

  return {
    ensureIndexes: async () => void (await queue.createIndexes([{ key: { due_at: 1 } }, { key: { since: 1 } }])),
    add,
    async addMissing(userIds) {
      const now = new Date();
      await upsertAll(userIds, () => ({ $setOnInsert: { wanted: 1, due_at: now, attempts: 0, last_error: null, since: now } }));
    },
    async resyncedWithin(ms) {
      const first = { $setOnInsert: { at: new Date() } };
      const last = await resyncs.findOneAndUpdate({ _id: 'all' }, first, { upsert: true, returnDocument: 'after' });
      return last === null || Date.now() - last.at.getTime() < ms;
    },
    resynced: async () => void (await resyncs.updateOne({ _id: 'all' }, { $set: { at: new Date() } })),
    due: (limit) =>
      queue
        .find({ due_at: { $lte: new Date() } })
        .sort({ due_at: 1 })
        .limit(limit)
        .toArray(),
    async done({ _id, wanted }) {
      const { deletedCount } = await queue.deleteOne({ _id, wanted });
      if (deletedCount === 1 || (await queue.countDocuments({ _id }, { limit: 1 })) === 1) return;
      // another process did it at the same time, and whose state Keycloak got last is not known: once more
      await add([_id]);
    },
    async refused({ _id, wanted, attempts }, reason) {
      const due = new Date(Date.now() + Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(attempts, 20)));
      await queue.updateOne({ _id, wanted }, { $set: { due_at: due, last_error: reason }, $inc: { attempts: 1 } });
    },
    async state(userIds) {
      const found = await queue.find({ _id: { $in: [...userIds] } }).toArray();
      return new Map(found.map((entry) => [entry._id, entry]));
    },
    async waiting() {
      const [count, oldest] = await Promise.all([
        queue.countDocuments({}, { limit: MOST_COUNTED }),
        queue
          .find({}, { projection: { since: 1 } })
          .sort({ since: 1 })
          .limit(1)
          .next(),
      ]);
      return { count, oldest_s: oldest ? Math.max(0, Date.now() - oldest.since.getTime()) / 1_000 : 0 };
    },
    async size() {
      const [waiting, refused] = await Promise.all([queue.countDocuments({}), queue.countDocuments({ attempts: { $gt: 0 } })]);
      return { waiting, refused };
    },
  };
}
