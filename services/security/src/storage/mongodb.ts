import { AppError } from '@biz/errors';
import { insertMissing } from '@biz/eventstore';
import { type Collection, type Db, type Filter, type IndexDescription, MongoServerError } from 'mongodb';
import { anonymous, type Place, pageOf, placeOf } from './event.ts';
import type { Anonymization, AuditLogStorage, EventPage, EventQuery, PageRequest, StoredEvent } from './port.ts';

/** A document of `security_events`. `waiting` names the other storages that do not have the event yet (see forward.ts). */
export interface EventDocument extends Omit<StoredEvent, 'event_id'> {
  _id: string;
  waiting?: Record<string, true>;
}

/** The longest that a list may search, in milliseconds. */
const SEARCH_MS = 6_000;
const TIME_LIMIT_EXCEEDED = 50;

/** Lists are walked in order of time within the most telling filter that is given; what else is filtered is looked at on the way. */
const indexes: IndexDescription[] = [
  { name: 'ip_time', key: { ip_index: 1, occurred_at: 1, _id: 1 } },
  { name: 'user_time', key: { user_id: 1, occurred_at: 1, _id: 1 } },
  { name: 'company_type_time', key: { company_id: 1, event_type: 1, occurred_at: 1, _id: 1 } },
  { name: 'type_time', key: { event_type: 1, occurred_at: 1, _id: 1 } },
  { name: 'company_time', key: { company_id: 1, occurred_at: 1, _id: 1 } },
  { name: 'severity_time', key: { severity: 1, occurred_at: 1, _id: 1 } },
  { name: 'time', key: { occurred_at: 1, _id: 1 } },
];

export function eventsOf(db: Db): Collection<EventDocument> {
  return db.collection('security_events', { writeConcern: { w: 'majority', journal: true } });
}

/** Security events in MongoDB, each noted as waiting for the storages in `others`. Indexes are made first. Closes nothing: the client is the caller's. */
export async function openMongoStorage(db: Db, others: readonly string[] = []): Promise<AuditLogStorage> {
  const events = eventsOf(db);
  await events.createIndexes(indexes);
  const waiting = Object.fromEntries(others.map((name) => [name, true as const]));
  return {
    name: 'mongodb',
    async save(given) {
      await insertMissing(
        events,
        given.map(({ event_id, ...event }) => ({ _id: event_id, ...event, ...(others.length > 0 && { waiting }) })),
      );
      return [];
    },
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

/** The first stretch of time that is looked at, how much longer each next one is, and the one that has no end. */
const FIRST_MS = 3_600_000;
const GROWTH = 8;
const LONGEST_MS = 10 * 365 * 86_400_000;

/**
 * In stretches of time backwards, each longer than the one before: so a list costs what its stretches have, also on a server that sorts all that it
 * finds before it gives the first. What is few anyway (of a user, of an address) is asked for at once.
 */
async function find(events: Collection<EventDocument>, query: EventQuery, page: PageRequest): Promise<EventPage> {
  if (query.company_ids?.length === 0) return { items: [] };
  const until = Math.min(Date.now() + SEARCH_MS, (page.deadline?.getTime() ?? Number.POSITIVE_INFINITY) - 100);
  const place = page.after === undefined ? undefined : placeOf(page.after);
  const few = query.user_id !== undefined || query.ip_index !== undefined;
  const lowest = query.from?.getTime() ?? Number.NEGATIVE_INFINITY;
  const found: StoredEvent[] = [];
  // Events of clocks that are ahead are in the first stretch, which has no upper end unless one was asked for.
  let to = earliest(query.to?.getTime(), place && place.occurred_at.getTime() + 1);
  for (let width = few ? LONGEST_MS + 1 : FIRST_MS; ; width *= GROWTH) {
    const from = width > LONGEST_MS ? lowest : Math.max((to ?? Date.now()) - width, lowest);
    const filter = filterOf(query, { from, to }, place);
    found.push(...(await search(events, filter, page.size + 1 - found.length, until)));
    if (found.length > page.size || from === lowest) return pageOf(found, page.size);
    to = from;
  }
}

function earliest(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}

async function search(
  events: Collection<EventDocument>,
  filter: Filter<EventDocument>,
  size: number,
  until: number,
): Promise<StoredEvent[]> {
  try {
    const found = await events
      .find(filter)
      .sort({ occurred_at: -1, _id: -1 })
      .limit(size)
      .maxTimeMS(Math.max(1, Math.ceil(until - Date.now())))
      .toArray();
    return found.map(toEvent);
  } catch (error) {
    if (!(error instanceof MongoServerError && error.code === TIME_LIMIT_EXCEEDED)) throw error;
    throw new AppError('timeout', 'The search takes too long; narrow it, by time for example.', { cause: error });
  }
}

/** The fields of the index that is meant come first: some planners choose by that, and none minds. */
function filterOf(
  query: EventQuery,
  { from, to }: { from: number; to: number | undefined },
  place: Place | undefined,
): Filter<EventDocument> {
  const { ip_index, user_id, company_ids, event_type, severity } = query;
  const filter: Filter<EventDocument> = {
    ...(ip_index !== undefined && { ip_index }),
    ...(user_id !== undefined && { user_id }),
    ...(company_ids && { company_id: company_ids.length === 1 ? (company_ids[0] as string) : { $in: [...company_ids] } }),
    ...(event_type !== undefined && { event_type }),
    ...(severity !== undefined && { severity }),
  };
  if (Number.isFinite(from) || to !== undefined) {
    filter.occurred_at = { ...(Number.isFinite(from) && { $gte: new Date(from) }), ...(to !== undefined && { $lt: new Date(to) }) };
  }
  if (place === undefined) return filter;
  const { occurred_at, event_id } = place;
  return { $and: [filter, { $or: [{ occurred_at: { $lt: occurred_at } }, { occurred_at, _id: { $lt: event_id } }] }] };
}

function concerned(what: Anonymization): Filter<EventDocument> {
  return 'before' in what ? { occurred_at: { $lt: what.before } } : { user_id: what.user_id };
}
