import { AppError } from '@biz/errors';
import { type Collection, type Db, type Filter, type IndexDescription, MongoBulkWriteError, MongoServerError } from 'mongodb';
import { anonymous, pageOf, placeOf } from './event.ts';
import type { Anonymization, AuditLogStorage, EventPage, EventQuery, PageRequest, Refusal, StoredEvent } from './port.ts';

/** A document of `security_events`. `waiting` names the other storages that do not have the event yet (see forward.ts). */
export interface EventDocument extends Omit<StoredEvent, 'event_id'> {
  _id: string;
  waiting?: Record<string, true>;
}

/** The longest that a list may search, in milliseconds. */
const SEARCH_MS = 6_000;
const TIME_LIMIT_EXCEEDED = 50;
const DUPLICATE_KEY = 11_000;

/** Lists are walked in order of time within the most telling filter that is given; what else is filtered is looked at on the way. */
const indexes: Record<string, IndexDescription> = {
  ip: { name: 'ip_time', key: { ip_index: 1, occurred_at: 1, _id: 1 } },
  user: { name: 'user_time', key: { user_id: 1, occurred_at: 1, _id: 1 } },
  companyType: { name: 'company_type_time', key: { company_id: 1, event_type: 1, occurred_at: 1, _id: 1 } },
  type: { name: 'type_time', key: { event_type: 1, occurred_at: 1, _id: 1 } },
  company: { name: 'company_time', key: { company_id: 1, occurred_at: 1, _id: 1 } },
  severity: { name: 'severity_time', key: { severity: 1, occurred_at: 1, _id: 1 } },
  time: { name: 'time', key: { occurred_at: 1, _id: 1 } },
};

export function eventsOf(db: Db): Collection<EventDocument> {
  return db.collection('security_events', { writeConcern: { w: 'majority', journal: true } });
}

/** Security events in MongoDB, each noted as waiting for the storages in `others`. Indexes are made first. Closes nothing: the client is the caller's. */
export async function openMongoStorage(db: Db, others: readonly string[] = []): Promise<AuditLogStorage> {
  const events = eventsOf(db);
  await events.createIndexes(Object.values(indexes));
  const waiting = Object.fromEntries(others.map((name) => [name, true as const]));
  return {
    name: 'mongodb',
    save: (given) =>
      insertNew(
        events,
        given.map(({ event_id, ...event }) => ({ _id: event_id, ...event, ...(others.length > 0 && { waiting }) })),
      ),
    find: (query, page) => find(events, query, page),
    async anonymize(what) {
      const { modifiedCount } = await events.updateMany({ ...concerned(what), anonymized: false }, { $set: { ...anonymous } });
      return modifiedCount;
    },
    async [Symbol.asyncDispose]() {},
  };
}

export function toEvent({ _id, waiting: _, ...event }: EventDocument): StoredEvent {
  return { event_id: _id, ...event };
}

/** Unordered, so that one that is there already holds up none of the others. */
async function insertNew(events: Collection<EventDocument>, documents: EventDocument[]): Promise<readonly Refusal[]> {
  if (documents.length === 0) return [];
  try {
    await events.insertMany(documents, { ordered: false });
    return [];
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error;
    const failures = [error.writeErrors].flat();
    if (failures.length === 0 || failures.some(({ code }) => code !== DUPLICATE_KEY)) throw error;
    return [];
  }
}

async function find(events: Collection<EventDocument>, query: EventQuery, page: PageRequest): Promise<EventPage> {
  if (query.company_ids?.length === 0) return { items: [] };
  const left = page.deadline ? page.deadline.getTime() - Date.now() - 100 : SEARCH_MS;
  try {
    const found = await events
      .find({ $and: [filterOf(query), after(page.after)] } as Filter<EventDocument>)
      .sort({ occurred_at: -1, _id: -1 })
      .hint(indexFor(query))
      .limit(page.size + 1)
      .maxTimeMS(Math.max(1, Math.min(SEARCH_MS, left)))
      .toArray();
    return pageOf(found.map(toEvent), page.size);
  } catch (error) {
    if (!(error instanceof MongoServerError && error.code === TIME_LIMIT_EXCEEDED)) throw error;
    throw new AppError('timeout', 'The search takes too long; narrow it, by time for example.', { cause: error });
  }
}

function filterOf(query: EventQuery): Filter<EventDocument> {
  const { company_ids, from, to, ...same } = query;
  return {
    ...same,
    ...(company_ids && { company_id: company_ids.length === 1 ? (company_ids[0] as string) : { $in: [...company_ids] } }),
    ...((from || to) && { occurred_at: { ...(from && { $gte: from }), ...(to && { $lt: to }) } }),
  };
}

function after(cursor: string | undefined): Filter<EventDocument> {
  if (cursor === undefined) return {};
  const { occurred_at, event_id } = placeOf(cursor);
  return { occurred_at: { $lte: occurred_at }, $or: [{ occurred_at: { $lt: occurred_at } }, { _id: { $lt: event_id } }] };
}

function indexFor({ ip_index, user_id, company_ids, event_type, severity }: EventQuery): string {
  if (ip_index !== undefined) return 'ip_time';
  if (user_id !== undefined) return 'user_time';
  if (company_ids?.length === 1) return event_type === undefined ? 'company_time' : 'company_type_time';
  if (event_type !== undefined) return 'type_time';
  return severity === undefined ? 'time' : 'severity_time';
}

function concerned(what: Anonymization): Filter<EventDocument> {
  return 'before' in what ? { occurred_at: { $lt: what.before } } : { user_id: what.user_id };
}
