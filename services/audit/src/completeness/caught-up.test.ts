import type { Lag } from '@biz/bus';
import { expect, it } from 'vitest';
import { consumerCaughtUp } from './caught-up.ts';

/** A bus whose group is found in these positions, one look after the other: committed and end of each partition. */
function busOf(...looks: [committed: number, end: number][][]) {
  let look = 0;
  return {
    lag: async (_group: string, topic: string): Promise<Lag[]> => {
      const seen = looks[Math.min(look++, looks.length - 1)] ?? [];
      return seen.map(([committed, end], partition) => ({
        ...{ topic, partition, committed: BigInt(committed), end: BigInt(end), lag: BigInt(end - committed) },
      }));
    },
  };
}

it('what the topic held at the call is all that is waited for, however much comes after', async () => {
  const bus = busOf([[5, 7]], [[6, 90]], [[7, 900]]);
  expect(await consumerCaughtUp(bus, 'audit', 'audit', 60_000)()).toBe(true);
});

it.each([
  ['nothing to read', [[7, 7]], true],
  ['an empty topic', [[0, 0]], true],
  [
    'one partition behind',
    [
      [7, 7],
      [3, 4],
    ],
    false,
  ],
] as [string, [number, number][], boolean][])('%s', async (_, look, caughtUp) => {
  expect(await consumerCaughtUp(busOf(look), 'audit', 'audit', 0)()).toBe(caughtUp);
});

it('with the brokers away nothing is decided', async () => {
  const away = { lag: () => Promise.reject(new Error('connect ECONNREFUSED')) };
  await expect(consumerCaughtUp(away, 'audit', 'audit')()).rejects.toMatchObject({ code: 'unavailable' });
});
