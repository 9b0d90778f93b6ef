import { type BatchOptions, type Carry, tracedBatch } from '@biz/telemetry';
import type { StoreLog } from './log.ts';
import { type Mark, undone } from './parts.ts';
import { measured, watchLag } from './relay-metrics.ts';
import type { EventStore } from './store.ts';
import type { EventDocument } from './types.ts';
import { startWorker } from './worker.ts';

/** What a relay needs of a store; an outbox whose events are folded nowhere is one, too. */
export type RelaySource = Pick<EventStore, 'db' | 'events' | 'ensureCurrent' | 'onAppend'>;

/** The span that an event has in its own trace while a batch is delivered. */
export interface EventSpan extends Omit<NonNullable<BatchOptions['each']>, 'attributesOf'> {
  readonly attributesOf: (event: EventDocument) => Record<string, string>;
}

export interface RelayOptions {
  store: RelaySource;
  /** Which events are still to be delivered: those where this is null. */
  mark: Mark;
  /**
   * Resolves when the whole batch is delivered for good; a batch may come again, so it has the same effect twice as once. `carry` gives what
   * stands in the `traceparent` header of the message about the event at this place.
   */
  deliver: (batch: EventDocument[], signal: AbortSignal, carry: Carry) => Promise<void>;
  /** What a batch is called in traces: `relay <mark>` when not given. */
  span?: string;
  /** The span of each event in its own trace; none when not given. */
  each?: EventSpan;
  /** Name of the lease: one relay of this name is active in the database. The mark when not given. */
  lease?: string;
  batchSize?: number;
  /** How often to look when nothing wakes it, in ms: for the events of other processes. */
  pollMs?: number;
  /** After this long without a beat of the holder another relay takes over, in ms. */
  leaseMs?: number;
  /** Longest pause between tries when delivery fails, in ms. */
  maxBackoffMs?: number;
  log?: StoreLog;
}

export interface Relay extends AsyncDisposable {
  /** Looks for events now. */
  wake(): void;
  /** How many events wait (counted up to 10,000), and for how long the oldest has, in ms. */
  lag(): Promise<{ count: number; oldest_ms: number }>;
  /** Finishes the batch in hand, lets the lease go and ends; a delivery that takes longer than 5 s is given up. */
  stop(): Promise<void>;
}

const STOP_PATIENCE_MS = 5_000;
const LAG_LIMIT = 10_000;

/**
 * Delivers each event at least once, each stream's in order of version, and marks it after. A failing delivery holds up
 * nothing but this relay: it is tried again for ever, with growing pauses.
 */
export function createRelay(options: RelayOptions): Relay {
  const { store, mark, pollMs = 500, maxBackoffMs = 10_000, leaseMs, log } = options;
  const givingUp = new AbortController();
  const worker = startWorker({
    db: store.db,
    lease: leaseOf(options),
    work: () => deliverNext(options, givingUp.signal),
    failed: 'events could not be delivered',
    pollMs,
    maxBackoffMs,
    ...(leaseMs !== undefined && { leaseMs }),
    ...(log && { log }),
  });
  const unlisten = store.onAppend(worker.wake);
  const watched = watchLag(leaseOf(options), () => lag(store, mark));
  async function stop(): Promise<void> {
    watched[Symbol.dispose]();
    unlisten();
    const patience = setTimeout(() => givingUp.abort(), STOP_PATIENCE_MS);
    await worker[Symbol.asyncDispose]();
    clearTimeout(patience);
  }
  return { wake: worker.wake, lag: () => lag(store, mark), stop, [Symbol.asyncDispose]: stop };
}

/** Delivers and marks one batch; true when there may be more at once. */
async function deliverNext(options: RelayOptions, signal: AbortSignal): Promise<boolean> {
  const { store, mark, batchSize = 500, each, span = `relay ${mark}` } = options;
  const found = await store.events.find(undone(mark)).sort({ _id: 1 }).limit(batchSize).toArray();
  if (found.length === 0) return false;
  const batch = await inOrder(store, mark, found);
  if (batch.length === 0) return true;
  const at = (index: number) => batch[index] as EventDocument;
  const spans = {
    count: batch.length,
    traceparentOf: (index: number) => at(index).meta.traceparent,
    ...(each && { each: { ...each, attributesOf: (index: number) => each.attributesOf(at(index)) } }),
  };
  await tracedBatch(span, spans, (carry) => measured(leaseOf(options), batch.length, () => deliverAndMark(options, batch, signal, carry)));
  return found.length === batchSize || batch.length < found.length;
}

async function deliverAndMark(
  { store, mark, deliver }: RelayOptions,
  batch: EventDocument[],
  signal: AbortSignal,
  carry: Carry,
): Promise<void> {
  await store.ensureCurrent(batch);
  await unlessAborted(signal, deliver(batch, signal, carry));
  await store.events.updateMany({ _id: { $in: batch.map(({ _id }) => _id) } }, { $set: { [mark]: new Date() } });
}

function leaseOf({ lease, mark }: RelayOptions): string {
  return lease ?? mark;
}

/**
 * Drops events that follow one of their stream which is undelivered but not in the batch: a scan can pass the place of
 * an event just before it is inserted, and then meet the next one. An event is only appended after the one before it, so
 * a second look finds the one that was missed.
 */
export async function inOrder(store: RelaySource, mark: Mark, found: EventDocument[]): Promise<EventDocument[]> {
  const last = found.at(-1)?._id ?? '';
  const seen = new Set(found.map(({ _id }) => _id));
  const undelivered = store.events.find({ ...undone(mark), _id: { $lt: last } }, { projection: { stream_id: 1 } });
  const missed = new Set<string>();
  for await (const { _id, stream_id } of undelivered) if (!seen.has(_id)) missed.add(stream_id);
  return missed.size === 0 ? found : found.filter(({ stream_id }) => !missed.has(stream_id));
}

async function lag(store: RelaySource, mark: Mark): Promise<{ count: number; oldest_ms: number }> {
  const count = await store.events.countDocuments(undone(mark), { limit: LAG_LIMIT });
  const [oldest] = count === 0 ? [] : await store.events.find(undone(mark)).sort({ _id: 1 }).limit(1).toArray();
  return { count, oldest_ms: oldest ? Math.max(0, Date.now() - Date.parse(oldest.at)) : 0 };
}

async function unlessAborted(signal: AbortSignal, work: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new Error('the relay was stopped while delivering'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
