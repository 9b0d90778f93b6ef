import { AppError } from '@biz/errors';
import type { Keyring } from '@biz/sealing';
import pLimit from 'p-limit';
import type { Collections } from '../collections.ts';

/** What the reading of histories works with. */
export interface HistoryParts {
  collections: Collections;
  keyring: Keyring;
  limits: HistoryLimits;
  gate: Gate;
}

export interface HistoryLimits {
  /** Records read and opened at once. */
  batch: number;
  /** Bytes of a state, or of all changes of a diff. */
  answerBytes: number;
  /** Records that one page of found values looks at. */
  searched: number;
}

/** Runs a task when it is its turn; AppError `unavailable` when too many wait already. */
export type Gate = <T>(signal: AbortSignal, task: () => Promise<T>) => Promise<T>;

/** Histories are long, and pages of whole records large: so many are read side by side, and so many may wait. */
export function createGate(atOnce: number, waiting: number): Gate {
  const limit = pLimit(atOnce);
  return (signal, task) => {
    if (limit.pendingCount >= waiting) {
      throw new AppError('unavailable', 'Too many records are being read; try again in a moment.');
    }
    return limit(() => {
      signal.throwIfAborted();
      return task();
    });
  };
}
