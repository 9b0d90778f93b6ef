import { AppError } from '@biz/errors';
import { sha256Hex } from '@biz/json';
import { idFromKey } from '@biz/service';
import { type Burst, type Hit, sweep } from './bursts.ts';

/** A burst that became an alert, whose alert may not be written yet. */
export interface PendingAlert extends Burst {
  alert_id: string;
}

/** What is known of one rule and key once it had a burst. */
export interface PairState {
  /** Last hit of its newest burst. It only grows, so that it serves to compare and set. */
  last: number;
  pending: PendingAlert[];
}

/** Where hits and bursts are kept, so that every process and every start counts the same. */
export interface TallyStore {
  states(pairs: readonly string[]): Promise<Map<string, PairState>>;
  /** Writes hits down, each id once. */
  addHits(hits: readonly StoredHit[]): Promise<void>;
  /** Hits of each range, both ends included. */
  hitsWithin(ranges: readonly { pair: string; from: number; to: number }[]): Promise<Map<string, Hit[]>>;
  /** Notes that bursts go on; never goes back. */
  extend(changes: readonly { pair: string; last: number }[]): Promise<void>;
  /** Notes new bursts where `seen` is still the last hit known (undefined: there never was a burst); the pairs that were written. */
  open(changes: readonly { pair: string; seen: number | undefined; last: number; pending: PendingAlert[] }[]): Promise<Set<string>>;
  /** The alerts are written. */
  settle(alertIds: readonly { pair: string; alert_id: string }[]): Promise<void>;
}

export interface StoredHit extends Hit {
  id: string;
  pair: string;
}

/** The part of a candidate that is counted. */
export interface Counting {
  pair: string;
  rule: { threshold: number; window_seconds: number };
  hits: readonly Hit[];
}

/** Of many that count the same pair at once one gets through each time. */
const MOST_TRIES = 50;

/**
 * Counts a batch, and gives the alerts to write, old ones among them that a process left unwritten. The same however often an event comes, in
 * whichever batch and process: hits are kept by event id until a burst begins, bursts by their last hit. AppError `unavailable` when others
 * are always faster.
 */
export async function tally(store: TallyStore, batch: readonly Counting[]): Promise<{ pair: string; alert: PendingAlert }[]> {
  const alerts: { pair: string; alert: PendingAlert }[] = [];
  let left = batch;
  for (let tries = 0; left.length > 0; tries += 1) {
    if (tries === MOST_TRIES) throw new AppError('unavailable', 'Alerts are counted elsewhere at the same time.');
    left = await round(store, left, alerts);
  }
  return alerts;
}

/** One try; gives back what another process changed meanwhile. */
async function round(store: TallyStore, batch: readonly Counting[], alerts: { pair: string; alert: PendingAlert }[]): Promise<Counting[]> {
  const states = await store.states(batch.map(({ pair }) => pair));
  const known = batch.map((one) => ({ ...one, state: states.get(one.pair), limits: limitsOf(one) }));
  // what belongs to a burst that is known is not kept: however long it lasts, it takes no more room
  const met = known.map((one) => ({ ...one, ...sweep(one.hits, { ...one.limits, threshold: Number.POSITIVE_INFINITY }, one.state?.last) }));
  await store.addHits(met.flatMap(({ pair, loose }) => loose.map((hit) => ({ ...hit, id: sha256Hex(`${pair}/${hit.event_id}`), pair }))));
  const fresh = met.filter(({ loose }) => loose.length > 0);
  const kept = await store.hitsWithin(
    fresh.map(({ pair, loose, limits }) => ({
      pair,
      from: (loose[0]?.at ?? 0) - limits.windowMs,
      to: (loose.at(-1)?.at ?? 0) + limits.windowMs,
    })),
  );
  const ends = new Map(met.map(({ pair, last }) => [pair, last]));
  const opening = fresh.flatMap(({ pair, limits, last, state }) => {
    const found = sweep(kept.get(pair) ?? [], limits, last);
    ends.set(pair, found.last);
    if (found.opened.length === 0 || found.last === undefined) return [];
    const pending = found.opened.map((burst) => ({ ...burst, alert_id: idFromKey('security_alert', `${pair}/${burst.start}`) }));
    return [{ pair, seen: state?.last, last: found.last, pending }];
  });
  const written = await store.open(opening);
  const beginning = new Set(opening.map(({ pair }) => pair));
  const growing = known.flatMap(({ pair, state }) => {
    const last = ends.get(pair);
    return state && last !== undefined && last > state.last && !beginning.has(pair) ? [{ pair, last }] : [];
  });
  await store.extend(growing);
  const lost = batch.filter(({ pair }) => beginning.has(pair) && !written.has(pair));
  const again = new Set(lost.map(({ pair }) => pair));
  for (const { pair, pending } of opening) if (written.has(pair)) alerts.push(...pending.map((alert) => ({ pair, alert })));
  for (const { pair, state } of known) if (!again.has(pair)) alerts.push(...(state?.pending ?? []).map((alert) => ({ pair, alert })));
  return lost;
}

function limitsOf({ rule }: Counting): { threshold: number; windowMs: number } {
  return { threshold: rule.threshold, windowMs: rule.window_seconds * 1000 };
}
