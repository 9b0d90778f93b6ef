import type { Call } from '@biz/rpc';
import { indexKey } from '../keys.ts';

/** Ids that a read record lists by name, as many as the largest page can have; beyond, they are only counted. */
export const MOST_LISTED = 200;
/** Ids that are told apart in one read; beyond, their number is `at least`. It bounds the memory of an export. */
const MOST_DISTINCT = 10_000;

/** What is known of a record that somebody was shown. */
export interface Shown {
  record_id?: string;
  ownership_id?: string;
  company_id?: string | null;
}

/** What one read has shown so far. */
export class Tally {
  count = 0;
  first: string | undefined;
  last: string | undefined;
  readonly ownerships = new Set<string>();
  readonly companies = new Set<string | null>();

  /** Takes in records that are about to be shown. */
  add(shown: readonly Shown[]): void {
    this.count += shown.length;
    for (const { record_id, ownership_id, company_id } of shown) {
      this.first ??= record_id;
      this.last = record_id ?? this.last;
      if (ownership_id && this.ownerships.size < MOST_DISTINCT) this.ownerships.add(indexKey(ownership_id));
      if (this.companies.size < MOST_DISTINCT) this.companies.add(company_id || null);
    }
  }
}

const tallies = new WeakMap<Call, Tally>();

/** The tally of a call, for the time of its reading. */
export function startTally(call: Call): Tally {
  const tally = new Tally();
  tallies.set(call, tally);
  return tally;
}

/**
 * For a handler whose answer does not show one by one which records it is made of (a folded state, bytes of an export): they are told
 * here, before they leave, and the answer itself is then not counted.
 */
export function noteShown(call: Call, shown: readonly Shown[]): void {
  const tally = tallies.get(call);
  if (tally === undefined) return;
  noted.add(tally);
  tally.add(shown);
}

const noted = new WeakSet<Tally>();

/** Counts an answer by what it says itself: its `items`, or it alone; unless the handler told it. */
export function countAnswer(tally: Tally, answer: object): void {
  if (noted.has(tally)) return;
  const { items } = answer as { items?: unknown };
  tally.add(Array.isArray(items) ? (items as Shown[]) : [answer as Shown]);
}
