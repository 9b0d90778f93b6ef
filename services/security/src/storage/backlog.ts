import { isDuplicateKey } from '@biz/eventstore';
import { newId } from '@biz/service';
import type { Db } from 'mongodb';
import { eventsOf, toEvent } from './mongodb.ts';
import type { Anonymization, StoredEvent } from './port.ts';

/** How a storage does. */
export interface StorageState {
  name: string;
  waiting: number;
  failing_since: Date | null;
  last_error: string | null;
  /** Events that it will never take. */
  refused: number;
}

/** What the storages beside MongoDB do not have yet: noted in MongoDB, with the events themselves, so that it survives everything that they do. */
export interface Backlog {
  waiting(name: string, limit: number): Promise<StoredEvent[]>;
  done(name: string, ids: readonly string[], refused: number): Promise<void>;
  /** Notes an anonymization that each of the storages has to make. */
  anonymize(names: readonly string[], what: Anonymization): Promise<string>;
  /** Those that a storage has not made, the oldest first. */
  anonymizations(name: string): Promise<{ id: string; what: Anonymization }[]>;
  anonymized(name: string, id: string): Promise<void>;
  failed(name: string, reason: string): Promise<void>;
  /** Resolves to true. */
  recovered(name: string): Promise<true>;
  state(name: string): Promise<StorageState>;
}

interface StorageDocument {
  _id: string;
  failing_since?: Date;
  last_error?: string;
  refused?: number;
}

interface AnonymizationDocument {
  _id: string;
  what: Anonymization;
  waiting: Record<string, true>;
}

/** More than this are counted as this many. */
const MOST_COUNTED = 100_000;
const durable = { writeConcern: { w: 'majority', journal: true } } as const;

/** The backlog of these storages; its indexes are made first. */
export async function openBacklog(db: Db, names: readonly string[]): Promise<Backlog> {
  const events = eventsOf(db);
  const states = db.collection<StorageDocument>('storages', durable);
  const anonymizations = db.collection<AnonymizationDocument>('anonymizations', durable);
  for (const name of names) {
    const flag = `waiting.${name}`;
    // What a storage waits for, in the order in which it came.
    await events.createIndex({ [flag]: 1, received_at: 1, _id: 1 }, { name: `waiting_${name}`, partialFilterExpression: { [flag]: true } });
  }
  return {
    async waiting(name, limit) {
      // No order is asked for: the index has them as they came, and a server may sort all that waits before it gives the first.
      const found = await events
        .find({ [`waiting.${name}`]: true })
        .limit(limit)
        .toArray();
      return found.map(toEvent);
    },
    async done(name, ids, refused) {
      if (refused > 0) await states.updateOne({ _id: name }, { $inc: { refused } }, { upsert: true });
      await events.updateMany({ _id: { $in: [...ids] } }, { $unset: { [`waiting.${name}`]: true } });
    },
    async anonymize(storages, what) {
      const waiting = Object.fromEntries(storages.map((name) => [name, true as const]));
      const { insertedId } = await anonymizations.insertOne({ _id: newId(), what, waiting });
      return insertedId;
    },
    async anonymizations(name) {
      const found = await anonymizations
        .find({ [`waiting.${name}`]: true })
        .sort({ _id: 1 })
        .toArray();
      return found.map(({ _id, what }) => ({ id: _id, what }));
    },
    async anonymized(name, id) {
      await anonymizations.updateOne({ _id: id }, { $unset: { [`waiting.${name}`]: true } });
    },
    async failed(name, reason) {
      await states
        .updateOne({ _id: name, failing_since: { $exists: false } }, { $set: { failing_since: new Date() } }, { upsert: true })
        .catch(ignoreTaken);
      await states.updateOne({ _id: name }, { $set: { last_error: reason } });
    },
    async recovered(name) {
      await states.updateOne({ _id: name, failing_since: { $exists: true } }, { $unset: { failing_since: true, last_error: true } });
      return true;
    },
    async state(name) {
      const [state, waiting] = await Promise.all([
        states.findOne({ _id: name }),
        events.countDocuments({ [`waiting.${name}`]: true }, { limit: MOST_COUNTED }),
      ]);
      const { failing_since = null, last_error = null, refused = 0 } = state ?? {};
      return { name, waiting, failing_since, last_error, refused };
    },
  };
}

/** The upsert met a document that says so already. */
function ignoreTaken(error: unknown): void {
  if (!isDuplicateKey(error)) throw error;
}
