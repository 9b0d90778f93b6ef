import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { delaysOf } from './runtime.ts';

test('a delay is what comes on top of the pause between two looks', () => {
  const intervals = createHistogram();
  for (let look = 0; look < 98; look += 1) intervals.record(100_000_000);
  intervals.record(350_000_000);
  intervals.record(1_100_000_000);
  expect(delaysOf(intervals, 100)).toEqual({ p50: expect.closeTo(0, 3), p99: expect.closeTo(0.25, 3), max: expect.closeTo(1, 2) });
});

test('a look that Node took for early is none that is late', () => {
  const intervals = createHistogram();
  intervals.record(99_000_000);
  expect(delaysOf(intervals, 100)).toEqual({ p50: 0, p99: 0, max: 0 });
});

test('without a look there is nothing to tell', () => {
  expect(delaysOf(createHistogram(), 100)).toBeUndefined();
});

test('an event loop that was blocked for a while was late for nearly as long, as Node measures it', async () => {
  const intervals = monitorEventLoopDelay({ resolution: 20 });
  intervals.enable();
  while (intervals.count === 0) await pause(1);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  await pause(1);
  intervals.disable();
  expect(delaysOf(intervals, 20)?.max).toBeGreaterThan(0.4);
});
