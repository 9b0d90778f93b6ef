import { producerName, type ReadEvent } from '@biz/envelope';
import { type CurrentDocument, type EventStore, insertMissing } from '@biz/eventstore';
import type { Collection, Filter, WithId } from 'mongodb';
import type { Place, Sink } from '../consumer.ts';
import { keyText } from '../storage/event.ts';
import { eventsOf, toEvent } from '../storage/mongodb.ts';
import type { StoredEvent } from '../storage/port.ts';
import { type Position, spans } from './position.ts';

/** Where an event first lay in the topic: the order of the stream, the same for every instance. A security event, or one of an alert. */
export interface Entry {
  readonly event_id: string;
  readonly partition: number;
  readonly offset: number;
  readonly company_id: string | null;
  readonly alert_id?: string;
}

/** What an entry is about: the security event as it is kept, or the alert as it is now. */
export type Item = { readonly event: StoredEvent } | { readonly alert: CurrentDocument };

interface EntryDocument extends Omit<Entry, 'event_id'> {
  _id: string;
  kept_at: Date;
}

/** How far a partition may be read: everything before `next` is in `stream_entries`. */
interface MarkDocument {
  _id: number;
  next: number;
}

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
  /** What entries are about, by their event ids. */
  items(entries: readonly Entry[]): Promise<ReadonlyMap<string, Item>>;
  /** Notes where the events of a batch lie; after the storage, so that whoever sees an entry finds its event. */
  sink(onKept: () => void): Sink;
}

/** Entries are dropped after `keepHours`: a client that was away for longer is told of a gap. */
export async function openEntries({ db, current }: Pick<EventStore, 'db' | 'current'>, keepHours: number): Promise<Entries> {
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
        const page = await documents.find({ partition, offset }).sort({ partition: 1, offset: 1 }).limit(left).toArray();
        entries.push(...page.map(({ _id, kept_at: _, ...entry }) => ({ event_id: _id, ...entry })));
        const last = page.at(-1);
        after.set(partition, page.length < left || !last ? end : last.offset + 1);
      }
      return { entries, after };
    },
    async items(entries) {
      const [events, alerts] = await Promise.all([
        found(stored, entries, ({ event_id, alert_id }) => (alert_id === undefined ? event_id : undefined)),
        found(current, entries, ({ alert_id }) => alert_id),
      ]);
      const itemOf = ({ event_id, alert_id, company_id }: Entry): Item | undefined => {
        const event = events.get(event_id);
        if (alert_id === undefined) return event && { event: toEvent(event) };
        const alert = alerts.get(alert_id);
        // an event that only names another company's alert does not show it
        return alert?.entity_type === alertType && keyOf(alert.company_id) === company_id ? { alert } : undefined;
      };
      return new Map(
        entries.flatMap((entry) => {
          const item = itemOf(entry);
          return item ? [[entry.event_id, item]] : [];
        }),
      );
    },
    sink: (onKept) => ({
      name: 'stream',
      async take(batch, all, place) {
        const entries = [
          ...batch.map((event) => entryOf(event, place)),
          ...all.filter(isOfAlert).map((event) => alertEntryOf(event, place)),
        ];
        if (entries.length === 0) return;
        const kept_at = new Date();
        // an event that is there already stays where it was first
        await insertMissing(
          documents,
          entries.map(({ event_id, ...entry }) => ({ _id: event_id, ...entry, kept_at })),
        );
        await marks.updateOne({ _id: place.partition }, { $max: { next: place.end } }, { upsert: true });
        onKept();
      },
    }),
  };
}

const alertType = 'security_alert';

/** Ours alone: nobody else opens alerts. */
function isOfAlert({ entity_type, producer_service }: ReadEvent): boolean {
  return entity_type === alertType && producer_service === producerName('security');
}

function entryOf({ event_id, company_id }: { event_id: string; company_id: string | null }, place: Place): Entry {
  const offset = place.offsets.get(event_id);
  if (offset === undefined) throw new Error('an event of a batch has no place in it');
  return { event_id: keyText(event_id), partition: place.partition, offset, company_id: keyOf(company_id) };
}

function alertEntryOf(event: ReadEvent, place: Place): Entry {
  return { ...entryOf(event, place), alert_id: event.entity_id };
}

function keyOf(companyId: string | null): string | null {
  return companyId === null ? null : keyText(companyId);
}

/** The documents that entries name, by their ids. */
async function found<Document extends { _id: string }>(
  collection: Collection<Document>,
  entries: readonly Entry[],
  idOf: (entry: Entry) => string | undefined,
): Promise<Map<string, WithId<Document>>> {
  const ids = [...new Set(entries.flatMap((entry) => idOf(entry) ?? []))];
  if (ids.length === 0) return new Map();
  const documents = await collection.find({ _id: { $in: ids } } as Filter<Document>).toArray();
  return new Map(documents.map((document) => [String(document._id), document]));
}
