import { type TestDatabase, testDatabase } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openMongoTally } from './mongo-tally.ts';
import { type Counting, type PendingAlert, type TallyStore, tally } from './tally.ts';

let database: TestDatabase;
let store: TallyStore;

beforeAll(async () => {
  database = await testDatabase('security');
  store = await openMongoTally(database.db);
});
afterAll(() => database?.[Symbol.asyncDispose]());

const rule = { threshold: 5, window_seconds: 60 };
const counting = (pair: string, seconds: readonly number[]): Counting => ({
  pair,
  rule,
  hits: seconds.map((second) => ({ event_id: `${pair}-${second}`, at: second * 1000, n: 1 })),
});
const pending = async () =>
  (await database.db.collection('alert_pairs').find().toArray()).flatMap((pair) => pair.pending as PendingAlert[]);

async function take(alerts: Map<string, string>, batch: Counting[]): Promise<void> {
  const found = await tally(store, batch);
  for (const { pair, alert } of found) alerts.set(alert.alert_id, pair);
  await store.settle(found.map(({ pair, alert: { alert_id } }) => ({ pair, alert_id })));
}

it('consumers that meet the same bursts at once make one alert of each', async () => {
  const pairs = Array.from({ length: 20 }, (_, n) => `pair-${n}`);
  const alerts = new Map<string, string>();
  // each has some of every burst, all have one event in common
  const parts = [
    [0, 1, 4, 5],
    [0, 2, 6, 7],
    [0, 3, 8, 9],
  ];
  await Promise.all(
    parts.map((seconds) =>
      take(
        alerts,
        pairs.map((pair) => counting(pair, seconds)),
      ),
    ),
  );
  expect([...alerts.values()].sort()).toEqual([...pairs].sort());
  // all of it again, and the burst goes on
  await Promise.all(
    parts.map((seconds) =>
      take(
        alerts,
        pairs.map((pair) => counting(pair, [...seconds, 50])),
      ),
    ),
  );
  expect(alerts.size).toBe(20);
  // after a quiet window
  await Promise.all(
    [1, 2].map(() =>
      take(
        alerts,
        pairs.map((pair) => counting(pair, [200, 201, 202, 203, 204])),
      ),
    ),
  );
  expect(alerts.size).toBe(40);
  expect(await pending()).toEqual([]);
});

it('an alert that was not written is found with the next batch of its pair', async () => {
  const first = await tally(store, [counting('lost', [0, 1, 2, 3, 4])]);
  expect(first).toHaveLength(1);
  expect(await tally(store, [counting('lost', [5])])).toEqual(first);
  await store.settle(first.map(({ pair, alert: { alert_id } }) => ({ pair, alert_id })));
  expect(await tally(store, [counting('lost', [6])])).toEqual([]);
});

it('hits are found by an index, and go', async () => {
  const hits = database.db.collection('alert_hits');
  const plan = await hits.find({ pair: { $in: ['a', 'b'] }, at: { $gte: 0, $lte: 1 } }).explain();
  expect(JSON.stringify(plan)).toContain('pair_1_at_1');
  expect((await hits.indexes()).map(({ expireAfterSeconds }) => expireAfterSeconds)).toContain(8 * 86_400);
});
