import { AppError } from '@biz/errors';
import type { Severity } from '@biz/security-events';
import { type Db, type Document, MongoServerError } from 'mongodb';
import { eventsOf } from '../storage/mongodb.ts';
import type { EventQuery } from '../storage/port.ts';

/** Part of a period that events are counted by; days and hours are of UTC. */
export type Unit = 'minute' | 'hour' | 'day';

export interface Count {
  at: Date;
  event_type: string;
  severity: Severity;
  count: number;
}

/** To whom something personal was opened, by which route. */
export interface Reader {
  user_id: string | null;
  resource: string | null;
  count: number;
  first_at: Date;
  last_at: Date;
}

/** Counts over the events in MongoDB, which has every one of them; nothing is counted beside them that could differ. */
export interface Counts {
  /** In order of time. AppError `timeout` when it takes too long. */
  byTime(query: EventQuery, unit: Unit, deadline: Date): Promise<Count[]>;
  /** The most frequent first, at most `limit`; and how many there are. AppError `timeout` when it takes too long. */
  readers(query: EventQuery, limit: number, deadline: Date): Promise<{ readers: Reader[]; all: number }>;
}

const TIME_LIMIT_EXCEEDED = 50;
/** Left for the answer, in milliseconds. */
const MARGIN_MS = 200;

export function openCounts(db: Db): Counts {
  const events = eventsOf(db);
  const run = async (query: EventQuery, stages: Document[], deadline: Date): Promise<Document[]> => {
    if (query.company_ids?.length === 0) return [];
    const maxTimeMS = Math.max(1, deadline.getTime() - Date.now() - MARGIN_MS);
    try {
      return await events.aggregate([{ $match: filterOf(query) }, ...stages], { maxTimeMS }).toArray();
    } catch (error) {
      if (!(error instanceof MongoServerError && error.code === TIME_LIMIT_EXCEEDED)) throw error;
      throw new AppError('timeout', 'Counting takes too long; ask for a shorter period.', { cause: error });
    }
  };
  return {
    async byTime(query, unit, deadline) {
      const at = { $dateTrunc: { date: '$occurred_at', unit } };
      const group = { _id: { at, event_type: '$event_type', severity: '$severity' }, count: { $sum: '$count' } };
      const found = await run(query, [{ $group: group }], deadline);
      return found.map(({ _id, count }) => ({ ..._id, count }) as Count).sort(inTime);
    },
    async readers(query, limit, deadline) {
      const times = { first_at: { $min: '$first_at' }, last_at: { $max: '$last_at' } };
      const group = { _id: { user_id: '$user_id', resource: '$resource' }, count: { $sum: '$count' }, ...times };
      const found = await run({ ...query, event_type: 'ACCESS_GRANTED' }, [{ $group: group }], deadline);
      const readers = found.map(({ _id, ...rest }) => ({ user_id: null, resource: null, ..._id, ...rest }) as Reader);
      return { readers: readers.sort((one, other) => other.count - one.count).slice(0, limit), all: readers.length };
    },
  };
}

/** Flat, so that an index serves it. */
function filterOf({ company_ids, from, to, ...same }: EventQuery): Document {
  return {
    ...same,
    ...(company_ids && { company_id: company_ids.length === 1 ? company_ids[0] : { $in: company_ids } }),
    ...((from || to) && { occurred_at: { ...(from && { $gte: from }), ...(to && { $lt: to }) } }),
  };
}

function inTime(one: Count, other: Count): number {
  return one.at.getTime() - other.at.getTime() || (one.event_type < other.event_type ? -1 : 1);
}
