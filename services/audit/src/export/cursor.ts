import { AppError } from '@biz/errors';
import { logId } from '../keys.ts';
import type { Position } from '../query/page.ts';

/** Sizes of logs by their id; a log that is not named has the size 0. */
export type Sizes = ReadonlyMap<string, number>;

/** Where a walk is: along the logs, by time, or by version of an entity. */
export type At = { readonly by: 'log'; readonly id: string } | { readonly by: 'time' | 'version'; readonly position: Position };

/**
 * How far an export is. It goes in passes: a pass is over the records from the sizes `from` to the sizes `upto`, which are all there and
 * never change, so it may be walked in any order and be left and taken up again anywhere. What comes later is at or above `upto`, whatever
 * its time, and is the next pass.
 */
export interface ExportCursor {
  readonly from: Sizes;
  readonly upto: Sizes;
  /** The record that was given last; undefined before the first. */
  readonly at: At | undefined;
}

/** The part of a cursor that all records of a pass have in common. `binding` names filters and companies. */
export function cursorPrefix(binding: string, { from, upto }: Pick<ExportCursor, 'from' | 'upto'>): string {
  return [binding, writeSizes(from), writeSizes(upto)].join(FIELD);
}

/** The cursor of one record, as text that needs no escape in a URL. */
export function writeCursor(prefix: string, at: At): string {
  return [prefix, ...writeAt(at)].join(FIELD);
}

/** Reads a cursor of an export with this binding; AppError `invalid_request` for any other text. */
export function readCursor(text: string, binding: string): ExportCursor {
  const [bound, from, upto, ...at] = text.split(FIELD);
  if (bound === binding && from !== undefined && upto !== undefined) {
    const cursor = { from: readSizes(from), upto: readSizes(upto), at: readAt(at) };
    if (cursor.from && cursor.upto && cursor.at) {
      return { from: cursor.from, upto: cursor.upto, at: cursor.at };
    }
  }
  throw new AppError('invalid_request', 'The request does not fit the contract.', {
    faults: [{ path: '/cursor', message: 'is not a cursor of this export with these filters' }],
  });
}

// None of these is in a topic's name, an id or an entity's key, and none needs an escape in a query.
const FIELD = '~';
const TOPIC = ',';
const NAME = ':';
const SIZE = '.';
const RADIX = 36;
/** More partitions than this a topic of ours never has; it bounds what a made-up cursor costs. */
const MOST_PARTITIONS = 10_000;

/** `audit:1a.2b.0`: the sizes of a topic's logs by partition. */
function writeSizes(sizes: Sizes): string {
  const topics = new Map<string, number[]>();
  for (const [log, size] of sizes) {
    const dash = log.lastIndexOf('-');
    const topic = log.slice(0, dash);
    const list = topics.get(topic) ?? [];
    list[Number(log.slice(dash + 1))] = size;
    topics.set(topic, list);
  }
  const written = [...topics].map(([topic, list]) => topic + NAME + Array.from(list, (size) => (size ?? 0).toString(RADIX)).join(SIZE));
  return written.sort().join(TOPIC);
}

function readSizes(text: string): Sizes | undefined {
  const sizes = new Map<string, number>();
  for (const part of text === '' ? [] : text.split(TOPIC)) {
    const [topic, list, ...rest] = part.split(NAME);
    if (!topic || list === undefined || rest.length > 0) return undefined;
    const numbers = list.split(SIZE).map(readNumber);
    if (numbers.length > MOST_PARTITIONS) return undefined;
    for (const [partition, size] of numbers.entries()) {
      if (size === undefined || size < 0) return undefined;
      if (size > 0) sizes.set(logId(topic, partition), size);
    }
  }
  return sizes;
}

function writeAt(at: At): string[] {
  if (at.by === 'log') return ['l', at.id];
  const [first, second] = at.position;
  return at.by === 'time' ? ['t', first.toString(RADIX), String(second)] : ['v', String(first), second.toString(RADIX)];
}

function readAt([by, first, second, ...rest]: readonly string[]): At | undefined {
  if (!first || rest.length > 0) return undefined;
  if (by === 'l') return second === undefined ? { by: 'log', id: first } : undefined;
  if (!second) return undefined;
  const number = readNumber(by === 't' ? first : second);
  if (number === undefined || (by !== 't' && by !== 'v')) return undefined;
  return by === 't' ? { by: 'time', position: [number, second] } : { by: 'version', position: [first, number] };
}

// The largest number of milliseconds that a Date holds (ECMA-262, 21.4.1.1).
const LARGEST = 8.64e15;

function readNumber(text: string): number | undefined {
  const number = /^-?[0-9a-z]{1,11}$/.test(text) ? Number.parseInt(text, RADIX) : Number.NaN;
  return Math.abs(number) <= LARGEST ? number : undefined;
}
