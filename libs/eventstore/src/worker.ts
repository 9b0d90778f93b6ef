import { setTimeout as pause } from 'node:timers/promises';
import type { Db } from 'mongodb';
import { createLease } from './lease.ts';
import type { StoreLog } from './log.ts';

export interface WorkerOptions {
  db: Db;
  /** Name of the lease: one worker of this name is active in the database. */
  lease: string;
  /**
   * Does what is due; true when there may be more at once. What it throws is logged, and it is called again after a pause that grows. A
   * holder of the lease that was paused may wake up beside the next one, so the work must bear that.
   */
  work: (stopping: AbortSignal) => Promise<boolean>;
  /** When it is disposed of, its holder does the work once more, so that what came until then does not wait for the next start. */
  finalRound?: boolean;
  /** How often to look when nothing wakes it, in ms. */
  pollMs?: number;
  /** Longest pause after failures, in ms. */
  maxBackoffMs?: number;
  /** After this long without a beat of the holder another worker takes over, in ms. */
  leaseMs?: number;
  /** What the log says when `work` throws; `work could not be done` when not given. */
  failed?: string;
  log?: StoreLog;
}

export interface Worker extends AsyncDisposable {
  /** Looks for work now. */
  wake(): void;
}

const FIRST_BACKOFF_MS = 100;

/** A background work of which one is active among all processes of a service. Disposing lets the work in hand end. */
export function startWorker(options: WorkerOptions): Worker {
  const { db, work, pollMs = 1_000, maxBackoffMs = 30_000, leaseMs = 5_000, failed = 'work could not be done', log } = options;
  const lease = createLease({ db, name: options.lease, leaseMs });
  const stopping = new AbortController();
  let bell = Promise.withResolvers<void>();

  /** Whether there may be more to do at once. */
  async function round(): Promise<boolean> {
    return (await lease.hold()) && (await lease.keep(() => work(stopping.signal)));
  }

  async function run(): Promise<void> {
    let failures = 0;
    while (!stopping.signal.aborted) {
      const rung = bell.promise;
      try {
        const more = await round();
        failures = 0;
        if (!more) await within(rung, pollMs);
      } catch (error) {
        failures += 1;
        log?.warn({ err: error, worker: options.lease, failures }, `${failed}; trying again`);
        const ceiling = Math.min(maxBackoffMs, FIRST_BACKOFF_MS * 2 ** Math.min(failures, 16));
        await sleep(ceiling / 2 + (Math.random() * ceiling) / 2, stopping.signal);
      }
    }
    // after a failure it would only hold up the end
    if (options.finalRound && failures === 0) {
      await round().catch((error: unknown) => log?.warn({ err: error, worker: options.lease }, `${failed}; left to the next start`));
    }
    await lease.release().catch(() => undefined);
  }

  const running = run();
  const wake = () => {
    bell.resolve();
    bell = Promise.withResolvers();
  };
  return {
    wake,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      wake();
      await running;
    },
  };
}

/** Waits for the bell, `ms` at most. */
async function within(rung: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([rung, new Promise((resolve) => (timer = setTimeout(resolve, ms)))]);
  clearTimeout(timer);
}

/** Ends early, without an error, on abort. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}
