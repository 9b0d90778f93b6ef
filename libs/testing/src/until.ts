import { setTimeout as pause } from 'node:timers/promises';

/**
 * Polls `condition` until it gives something truthy, and gives that back. A condition that throws counts as not yet met.
 * After `timeoutMs` (60 s unless told: a busy machine is no fault) it fails, naming `what` was awaited, with the condition's last error as cause.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: { what: string; timeoutMs?: number; intervalMs?: number },
): Promise<Truthy<T>> {
  const { what, timeoutMs = 60_000, intervalMs = 20 } = options;
  const deadline = Date.now() + timeoutMs;
  let cause: unknown;
  let last: unknown;
  do {
    try {
      last = await condition();
      if (last) return last as Truthy<T>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await pause(intervalMs);
  } while (Date.now() < deadline);
  const seen = cause === undefined ? `last seen: ${String(last)}` : `last error: ${cause instanceof Error ? cause.message : String(cause)}`;
  throw new Error(`waited ${timeoutMs} ms for ${what}; ${seen}`, { cause });
}

type Truthy<T> = Exclude<T, false | 0 | '' | null | undefined>;
