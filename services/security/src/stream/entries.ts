import { type Collection, type Db, MongoBulkWriteError } from 'mongodb';
import type { Place, Sink } from '../consumer.ts';
import { keyText } from '../storage/event.ts';
import { eventsOf, toEvent } from '../storage/mongodb.ts';
import type { StoredEvent } from '../storage/port.ts';
import { type Position, spans } from './position.ts';

/** Where an event first lay in the topic: the order of the stream, the same for every instance. */
export interface Entry {
  readonly event_id: string;
  readonly partition: number;
  readonly offset: number;
  readonly company_id: string | null;
}

interface EntryDocument extends Omit<Entry, 'event_id'> {
  _id: string;
  kept_at: Date;
}

/** How far a partition may be read: everything before `next` is in `stream_entries`. */
interface MarkDocument {
  _id: number;
  next: number;
}

const DUPLICATE_KEY = 11_000;
const HOUR_SECONDS = 3_600;

/** The order of events, and the events themselves, in MongoDB. */
export interface Entries {
  /** The end of everything that may be read. */
  end(): Promise<Position>;
  /**
   * The entries between two positions, at most `limit`, and the position after them; with less than `limit` that is `to`. Entries of one
   * partition come in order of offset.
   */
  between(from: Position, to: Position, limit: number): Promise<{ entries: Entry[]; after: Position }>;
  /** The events of entries, in their order. */
  events(entries: readonly Entry[]): Promise<StoredEvent[]>;
  /** Notes where the events of a batch lie; after the storage, so that whoever sees an entry finds its event. */
  sink(onKept: () => void): Sink;
}

/** Entries are dropped after `keepHours`: a client that was away for longer is told of a gap. */
export async function openEntries(db: Db, keepHours: number): Promise<Entries> {
  const writeConcern = { w: 'majority', journal: true } as const;
  const documents = db.collection<EntryDocument>('stream_entries', { writeConcern });
  const marks = db.collection<MarkDocument>('stream_marks', { writeConcern });
  const stored = eventsOf(db);
  await documents.createIndexes([
    // the entries of a partition in order
    { name: 'place', key: { partition: 1, offset: 1 } },
    { name: 'kept', key: { kept_at: 1 }, expireAfterSeconds: keepHours * HOUR_SECONDS },
  ]);
  return {
    end: async () => new Map((await marks.find().toArray()).map(({ _id, next }) => [_id, next])),
    async between(from, to, limit) {
      const after = new Map(from);
      const entries: Entry[] = [];
      for (const { partition, from: begin, to: end } of spans(from, to)) {
        const left = limit - entries.length;
        if (left === 0) break;
        const offset = { $gte: begin, $lt: end };
        const found = await documents.find({ partition, offset }).sort({ partition: 1, offset: 1 }).limit(left).toArray();
        entries.push(...found.map(({ _id, partition: at, offset: place, company_id }) => entryOf(_id, at, place, company_id)));
        const last = found.at(-1);
        after.set(partition, found.length < left || !last ? end : last.offset + 1);
      }
      return { entries, after };
    },
    async events(entries) {
      if (entries.length === 0) return [];
      const found = await stored.find({ _id: { $in: entries.map(({ event_id }) => event_id) } }).toArray();
      const byId = new Map(found.map((document) => [document._id, toEvent(document)]));
      return entries.flatMap(({ event_id }) => byId.get(event_id) ?? []);
    },
    sink: (onKept) => ({
      name: 'stream',
      async take(batch, _, place) {
        if (batch.length === 0) return;
        const kept_at = new Date();
        await insertNew(
          documents,
          batch.map((event) => ({ ...placed(event.event_id, event.company_id, place), kept_at })),
        );
        await marks.updateOne({ _id: place.partition }, { $max: { next: place.end } }, { upsert: true });
        onKept();
      },
    }),
  };
}

function entryOf(event_id: string, partition: number, offset: number, company_id: string | null): Entry {
  return { event_id, partition, offset, company_id };
}

function placed(event_id: string, company_id: string | null, place: Place): Omit<EntryDocument, 'kept_at'> {
  const offset = place.offsets.get(event_id);
  if (offset === undefined) throw new Error('an event of a batch has no place in it');
  return { _id: keyText(event_id), partition: place.partition, offset, company_id: company_id === null ? null : keyText(company_id) };
}

/** An event that is there already stays where it was first. */
async function insertNew(collection: Collection<EntryDocument>, documents: EntryDocument[]): Promise<void> {
  try {
    await collection.insertMany(documents, { ordered: false });
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error;
    const failures = [error.writeErrors].flat();
    if (failures.length === 0 || failures.some(({ code }) => code !== DUPLICATE_KEY)) throw error;
  }
}
