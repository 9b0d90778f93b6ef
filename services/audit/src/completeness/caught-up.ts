import { setTimeout as pause } from 'node:timers/promises';
import type { Bus, Lag } from '@biz/bus';
import { AppError } from '@biz/errors';

/** How long is waited for the consumers when not told, and how often it is looked, in ms. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 500;

/**
 * Whether the audit has taken everything that the topic held at the moment of the call: what was acknowledged by the broker before, and has no
 * record after this, is not on the topic. False when the consumers are further behind. AppError
 * `unavailable` when the brokers are away.
 */
export function consumerCaughtUp(
  bus: Pick<Bus, 'lag'>,
  group: string,
  topic: string,
  patienceMs: number = PATIENCE_MS,
): (signal?: AbortSignal) => Promise<boolean> {
  return async (signal) => {
    const begun = performance.now();
    let lag = await lagOf(bus, group, topic);
    const ends = new Map(lag.map(({ partition, end }) => [partition, end]));
    while (lag.some(({ partition, committed }) => committed < (ends.get(partition) ?? 0n))) {
      if (performance.now() - begun > patienceMs) return false;
      await pause(LOOK_MS, undefined, signal && { signal });
      lag = await lagOf(bus, group, topic);
    }
    return true;
  };
}

async function lagOf(bus: Pick<Bus, 'lag'>, group: string, topic: string): Promise<Lag[]> {
  try {
    return await bus.lag(group, topic);
  } catch (cause) {
    throw new AppError('unavailable', 'The brokers did not tell how far the topic is.', { cause });
  }
}
