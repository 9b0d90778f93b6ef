import type { Filter } from 'mongodb';
import type { Claims } from './claims.ts';
import type { StoreLog } from './log.ts';
import type { Reading } from './reading.ts';
import type { EventDocument } from './types.ts';

export type Mark = `${string}_at`;

/** What the parts of one store share. */
export interface StoreParts extends Reading {
  claims: Claims;
  marks: readonly Mark[];
  maxEventBytes: number;
  now: () => Date;
  log: StoreLog;
  appended: () => void;
}

/** The marks of a new event: none is set. */
export function noMarks(marks: readonly Mark[]): Record<Mark, null> {
  return Object.fromEntries(marks.map((mark) => [mark, null]));
}

/** Events that a reactor has not done yet; reads as the filter of its partial index does. */
export function undone(mark: Mark): Filter<EventDocument> {
  return { [mark]: null };
}
