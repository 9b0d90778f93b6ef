import { createHash } from 'node:crypto';
import { AppError } from '@biz/errors';
import type { Anonymization, EventQuery, StoredEvent } from './port.ts';

const LONGEST_KEY = 200;

/**
 * An id as it is stored and compared: the id itself, or `#` and its SHA-256 when an engine could not index it, or would order it otherwise than
 * another one (too long, not ASCII), or when it begins with `#`, so that no id can pose as another's digest.
 */
export function keyText(id: string): string {
  return id.length <= LONGEST_KEY && /^[ -~]+$/.test(id) && !id.startsWith('#')
    ? id
    : `#${createHash('sha256').update(JSON.stringify(id)).digest('hex')}`;
}

/** Whether the filters let an event through; the meaning of a query, for storages that cannot ask their engine everything. */
export function matches(event: StoredEvent, query: EventQuery): boolean {
  return (
    (query.user_id === undefined || event.user_id === query.user_id) &&
    (query.company_ids === undefined || (event.company_id !== null && query.company_ids.includes(event.company_id))) &&
    (query.event_type === undefined || event.event_type === query.event_type) &&
    (query.severity === undefined || event.severity === query.severity) &&
    (query.ip_index === undefined || event.ip_index === query.ip_index) &&
    (query.from === undefined || event.occurred_at >= query.from) &&
    (query.to === undefined || event.occurred_at < query.to)
  );
}

export function concerns(event: StoredEvent, what: Anonymization): boolean {
  return 'before' in what ? event.occurred_at < what.before : event.user_id === what.user_id;
}

/** What an anonymization leaves of an event. */
export const anonymous = { user_email: null, ip: null, ip_index: null, user_agent: null, anonymized: true } as const;

/** Order of lists: newest first; the larger id first among those of one millisecond (ids are ASCII, which every engine orders alike). */
export function newestFirst(one: Place, other: Place): number {
  const time = other.occurred_at.getTime() - one.occurred_at.getTime();
  return time || (one.event_id === other.event_id ? 0 : one.event_id < other.event_id ? 1 : -1);
}

/** The place of an event in the order of lists. */
export type Place = Pick<StoredEvent, 'occurred_at' | 'event_id'>;

/** A cursor: the place of the last event of a page. */
export function cursorAt({ occurred_at, event_id }: Place): string {
  return Buffer.from(JSON.stringify([occurred_at.getTime(), event_id])).toString('base64url');
}

// The largest number of milliseconds that a Date holds (ECMA-262, 21.4.1.1).
const LAST_TIME = 8.64e15;

/** The place that a cursor names; AppError `invalid_request` for what is none. */
export function placeOf(cursor: string): Place {
  try {
    const [time, id, ...rest] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    if (Number.isSafeInteger(time) && Math.abs(time as number) <= LAST_TIME && typeof id === 'string' && rest.length === 0) {
      return { occurred_at: new Date(time as number), event_id: id };
    }
  } catch {
    // not even JSON
  }
  throw new AppError('invalid_request', 'The request does not fit the contract.', {
    faults: [{ path: '/page_token', message: 'is not a token of this list' }],
  });
}

/** A page of events that are in order, of which there may be one more than asked for. */
export function pageOf(found: readonly StoredEvent[], size: number): { items: StoredEvent[]; next?: string } {
  const items = found.slice(0, size);
  const last = items.at(-1);
  return { items, ...(found.length > size && last && { next: cursorAt(last) }) };
}

const times = ['occurred_at', 'received_at', 'first_at', 'last_at'] as const;

/** One line of JSON, for storages of text. */
export function textOf(event: StoredEvent): string {
  return JSON.stringify(event);
}

/** The event that `textOf` wrote; undefined for anything else, such as a line that a crash cut off. */
export function eventOf(text: string): StoredEvent | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    if (typeof value?.event_id !== 'string') return undefined;
    const dates = times.map((name) => [name, new Date(value[name] as string)] as const);
    if (dates.some(([, date]) => Number.isNaN(date.getTime()))) return undefined;
    return { ...value, ...Object.fromEntries(dates) } as unknown as StoredEvent;
  } catch {
    return undefined;
  }
}
