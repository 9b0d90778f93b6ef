import { setTimeout as pause } from 'node:timers/promises';
import type { Entries, Entry, Item } from './entries.ts';
import { type Position, spans } from './position.ts';

/** An entry with what it is about; nothing when that is not there any more. */
export interface LiveEntry extends Entry {
  readonly item: Item | undefined;
}

/** What every open stream of this process follows: the database is asked once for all of them. */
export interface Hub extends AsyncDisposable {
  /** Follows the entries from now on; the first follower starts the asking, the last one that is disposed ends it. */
  follow(): Promise<Follower>;
  /** Something may have come; looked for at once. */
  wake(): void;
}

export interface Follower extends Disposable {
  /** The end of what is known, which is where `take` goes on from. */
  catchUp(): Position;
  /** What has come since the last time; undefined when that is more than is kept: the way to it is by the database, after `catchUp`. */
  take(): readonly LiveEntry[] | undefined;
  /** Calls back once there is something to take, which may be at once; the answer takes that back. */
  whenChanged(listener: () => void): () => void;
}

export interface HubOptions {
  readonly entries: Pick<Entries, 'end' | 'between' | 'items'>;
  /** How often the database is asked, in milliseconds. */
  readonly pollMs: number;
  /** Entries that are kept in memory for those who follow. */
  readonly kept: number;
  readonly log: { warn(fields: object, message: string): void };
}

/** Entries read at once. */
export const readAtOnce = 500;

export function createHub({ entries, pollMs, kept, log }: HubOptions): Hub {
  let position: Position = new Map();
  let recent: LiveEntry[] = [];
  /** Number of the first of `recent`, counted since the start. */
  let first = 0;
  let followers = 0;
  const listeners = new Set<() => void>();
  let alarm = Promise.withResolvers<void>();
  let starting: Promise<void> | undefined;
  let running: Promise<void> | undefined;
  let stop = new AbortController();
  const end = () => first + recent.length;

  async function poll(): Promise<void> {
    const target = await entries.end();
    while (spans(position, target).length > 0) {
      const piece = await entries.between(position, target, readAtOnce);
      const items = await entries.items(piece.entries);
      // from here on without waiting, so that whoever begins to follow sees all of a piece, or nothing
      position = piece.after;
      recent.push(...piece.entries.map((entry) => ({ ...entry, item: items.get(entry.event_id) })));
      const over = Math.max(0, recent.length - kept);
      recent = recent.slice(over);
      first += over;
      for (const listener of listeners) listener();
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      alarm = Promise.withResolvers();
      await poll().catch((error: unknown) => log.warn({ err: error }, 'the stream of security events could not be read; trying again'));
      const timer = new AbortController();
      const waiting = AbortSignal.any([signal, timer.signal]);
      await Promise.race([alarm.promise, pause(pollMs, undefined, { signal: waiting }).catch(() => undefined)]);
      timer.abort();
    }
  }

  /** What was kept from an earlier time has holes: nobody looked meanwhile. */
  const start = async () => {
    await running;
    position = await entries.end();
    first = end();
    recent = [];
    stop = new AbortController();
    running = run(stop.signal);
  };

  const leave = () => {
    followers -= 1;
    if (followers > 0) return;
    stop.abort();
    starting = undefined;
  };

  return {
    wake: () => alarm.resolve(),
    async follow() {
      followers += 1;
      try {
        starting ??= start();
        await starting;
      } catch (error) {
        leave();
        throw error;
      }
      let next = end();
      let gone = false;
      return {
        catchUp() {
          next = end();
          return position;
        },
        take() {
          if (next < first) return undefined;
          const taken = recent.slice(next - first);
          next = end();
          return taken;
        },
        whenChanged(listener) {
          if (next !== end()) listener();
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
        [Symbol.dispose]() {
          if (!gone) leave();
          gone = true;
        },
      };
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
