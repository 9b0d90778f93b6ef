import type { MethodModel } from '@biz/protos';
import type { CallContext } from './context.ts';

/**
 * How a call ended without an answer of the service. `unreachable`: there was no connection, nothing was sent. `refused`: a server said that it
 * has not begun. `lost`: the connection broke or the server stopped in the middle, so it may have been done.
 */
export type Loss = 'unreachable' | 'refused' | 'lost';

/** A call that is made again, and how the time before ended. */
export type Retry = { readonly rpc: string; readonly loss: Loss; readonly attempt: number };

/** Whether a call that may have been done can be made again: it changes nothing, or its Idempotency-Key makes the second time an echo of the first. */
export function isRepeatable({ http, rules }: MethodModel, context: CallContext): boolean {
  return http?.verb === 'get' || (context.idempotency_key !== undefined && rules.event !== '');
}

export type Retries = {
  /** How long to wait before the call is made again, in milliseconds; undefined when it is not. `attempt` is the one that was lost, from 1. */
  pause(loss: Loss, attempt: number, repeatable: boolean): number | undefined;
  /** A server answered, whatever it said. */
  answered(): void;
};

export type RetryLimits = {
  /** Attempts of one call that reached a server. */
  readonly attempts: number;
  /** For how long nobody can be reached before calls fail at once, in milliseconds. */
  readonly patienceMs: number;
  /** Retries in a row that a client has in reserve; half of them are never used up. */
  readonly reserve: number;
  /** What an answered call adds to the reserve. */
  readonly perAnswer: number;
};

export const retryLimits: RetryLimits = { attempts: 3, patienceMs: 3_000, reserve: 500, perAnswer: 0.1 };

/**
 * Decides for one client what is tried again. While nobody can be reached, calls wait, `patienceMs` from the moment that this began: the change of
 * instances is bridged, an outage fails at once. What reached a server goes to another one at once, with a reserve (as gRPC's A6 throttles
 * retries), so that a service in trouble is not asked many times over.
 */
export function createRetries(limits: RetryLimits = retryLimits, now: () => number = () => performance.now()): Retries {
  let awaySince: number | undefined;
  let tokens = limits.reserve;
  return {
    pause(loss, attempt, repeatable) {
      if (loss === 'unreachable') {
        awaySince ??= now();
        return now() - awaySince < limits.patienceMs ? 25 + Math.random() * 50 : undefined;
      }
      if (loss === 'lost' && !repeatable) return undefined;
      if (attempt >= limits.attempts || tokens - 1 < limits.reserve / 2) return undefined;
      tokens -= 1;
      return Math.random() * 20;
    },
    answered() {
      awaySince = undefined;
      tokens = Math.min(limits.reserve, tokens + limits.perAnswer);
    },
  };
}
