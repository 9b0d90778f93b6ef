import { setTimeout as pause } from 'node:timers/promises';
import { type AppError, toAppError } from '@biz/errors';
import type { Log } from '@biz/service';
import { type Draft, foldKey } from './draft.ts';

export type ReporterOptions = {
  /** Hands a batch over for good; a batch may come again. Rejects with AppError. */
  readonly record: (batch: readonly Draft[], signal: AbortSignal) => Promise<void>;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** Most events that wait at the same time. */
  readonly limit: number;
  /** How long an event waits for others like it, in milliseconds. */
  readonly foldMs: number;
  /** Longest pause between tries, in milliseconds. */
  readonly maxPauseMs?: number;
  /** How long disposing may take, in milliseconds; what is not handed over by then is lost, and counted in the log. */
  readonly stopMs?: number;
};

export type Reporter = AsyncDisposable & {
  /** Takes an event; never waits and never throws. */
  report(draft: Draft): void;
  /** Events that wait, and those that were dropped since the start. */
  state(): { waiting: number; dropped: number };
};

const batchSize = 500;
const firstPauseMs = 100;
/** Asking again helps against neither: the event itself is at fault. */
const ofTheEvent: ReadonlySet<string> = new Set(['invalid_request', 'too_large']);

/**
 * Security events on their way to where they are kept, in memory: each waits a moment for others like it and goes as one with their count, in
 * batches. While they cannot be handed over they wait, up to the limit, and go on being folded; beyond it new ones are dropped, counted in the
 * log and in the details of the next event that goes.
 */
export function createReporter(options: ReporterOptions): Reporter {
  const { record, log, limit, foldMs, maxPauseMs = 5_000, stopMs = 1_500 } = options;
  const waiting = new Map<string, Draft>();
  /** Handed over as they are until it succeeds: under a known id nothing new would be taken. */
  let batches: Draft[][] = [];
  let untold = 0;
  let dropped = 0;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let stopping = false;
  const givingUp = new AbortController();

  const held = () => waiting.size + batches.reduce((sum, batch) => sum + batch.length, 0);

  function drop(count: number): void {
    untold += count;
    dropped += count;
  }

  function schedule(ms: number): void {
    timer ??= setTimeout(wake, ms).unref();
  }

  function wake(): void {
    timer = undefined;
    running ??= pass().finally(() => {
      running = undefined;
      if (stopping) return;
      if (batches.length > 0) schedule(Math.min(maxPauseMs, firstPauseMs * 2 ** failures));
      else if (waiting.size > 0) schedule(foldMs);
    });
  }

  /** Hands over what waits, until nothing does or it fails. */
  async function pass(): Promise<void> {
    do {
      if (batches.length === 0 && waiting.size > 0) batches = [take()];
      const [batch] = batches;
      if (!batch) return;
      if (!(await hand(batch))) return;
    } while (batches.length > 0 || waiting.size >= batchSize || (stopping && waiting.size > 0));
  }

  function take(): Draft[] {
    const batch = [...waiting].slice(0, batchSize).map(([key, draft]) => {
      waiting.delete(key);
      return draft;
    });
    const [first] = batch;
    if (first && untold > 0) {
      log.error({ dropped: untold }, 'ALERT security events were dropped: too many waited');
      first.details = { ...first.details, dropped_before: untold };
      untold = 0;
    }
    return batch;
  }

  /** Whether there is any use in going on. */
  async function hand(batch: Draft[]): Promise<boolean> {
    try {
      await record(batch, givingUp.signal);
      batches.shift();
      if (failures > 0) log.info({ waiting: held() }, 'security events are handed over again');
      failures = 0;
      return true;
    } catch (thrown) {
      const error = toAppError(thrown);
      if (ofTheEvent.has(error.code)) return setAside(batch, error);
      failures = Math.min(failures + 1, 16);
      log.warn({ code: error.code, failures, waiting: held(), dropped: untold }, 'security events wait: they could not be handed over');
      return false;
    }
  }

  /** One event that is not taken must not hold up the others: halves are tried until it is alone. */
  function setAside(batch: Draft[], error: AppError): true {
    const [one] = batch;
    const middle = Math.ceil(batch.length / 2);
    batches.splice(0, 1, ...(batch.length > 1 ? [batch.slice(0, middle), batch.slice(middle)] : []));
    if (batch.length === 1) {
      drop(1);
      log.error({ code: error.code, faults: error.faults, event_type: one?.event_type }, 'ALERT a security event is not of the form');
    }
    return true;
  }

  return {
    report(draft) {
      const key = foldKey(draft);
      const same = waiting.get(key);
      if (same) {
        same.count += draft.count;
        same.last_at = draft.last_at;
      } else if (held() >= limit) {
        drop(1);
      } else {
        waiting.set(key, draft);
        if (!running) schedule(foldMs);
      }
    },
    state: () => ({ waiting: held(), dropped }),
    async [Symbol.asyncDispose]() {
      stopping = true;
      clearTimeout(timer);
      const patience = setTimeout(() => givingUp.abort(), stopMs);
      await running;
      while (held() > 0 && !givingUp.signal.aborted) {
        await pass();
        if (held() > 0) await pause(firstPauseMs, undefined, { signal: givingUp.signal }).catch(() => undefined);
      }
      clearTimeout(patience);
      if (held() > 0) log.error({ lost: held() }, 'ALERT security events were lost: they could not be handed over before the stop');
    },
  };
}
