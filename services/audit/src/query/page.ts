import { AppError } from '@biz/errors';
import { canonicalJson, type JsonValue, sha256Hex } from '@biz/json';
import { type PageRoom, takePage } from '@biz/service';
import { type FindCursor, MongoServerError } from 'mongodb';

export const DEFAULT_PAGE_SIZE = 50;
/** The longest that a list may search, in milliseconds. */
export const SEARCH_MS = 6_000;
/** Code of MongoDB's error for that. */
export const TIME_LIMIT_EXCEEDED = 50;

export type Order = 1 | -1;

/** Where a page ended: the two values that the list is ordered by. */
export type Position = readonly [string | number, string | number];

/** A token is bound to the list that it was made by: filters, order, companies. */
export function bindingOf(list: JsonValue): string {
  return sha256Hex(canonicalJson(list)).slice(0, 16);
}

export function writeToken(position: Position, binding: string): string {
  return Buffer.from(JSON.stringify([...position, binding])).toString('base64url');
}

/** The position in a token; AppError `invalid_request` for any other text than a token of this list. */
export function readToken(token: string, binding: string, types: readonly ['string' | 'number', 'string' | 'number']): Position {
  const [first, second, bound, ...rest] = partsOf(token);
  if (isPart(first, types[0]) && isPart(second, types[1]) && bound === binding && rest.length === 0) {
    return [first, second];
  }
  throw new AppError('invalid_request', 'The request does not fit the contract.', {
    faults: [{ path: '/page_token', message: 'is not a token of this list with these filters' }],
  });
}

// The largest number of milliseconds that a Date holds (ECMA-262, 21.4.1.1).
const LAST_TIME = 8.64e15;

function isPart(value: unknown, type: 'string' | 'number'): value is string | number {
  return type === 'string' ? typeof value === 'string' : Number.isSafeInteger(value) && Math.abs(value as number) <= LAST_TIME;
}

function partsOf(token: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

/** One page of a search and whether there is more; shorter than `size` when its room is full. AppError `timeout` when the search takes too long. */
export async function fetchPage<T extends object>(
  cursor: FindCursor<T>,
  size: number,
  deadline: Date,
  room?: PageRoom,
): Promise<{ items: T[]; more: boolean }> {
  const time = Math.max(1, Math.min(SEARCH_MS, deadline.getTime() - Date.now() - 100));
  try {
    return await takePage(cursor.limit(size + 1).maxTimeMS(time), size, room);
  } catch (error) {
    if (error instanceof MongoServerError && error.code === TIME_LIMIT_EXCEEDED) {
      throw new AppError('timeout', 'The search takes too long; narrow it, by time for example.', { cause: error });
    }
    throw error;
  }
}
