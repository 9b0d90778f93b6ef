import { type Histogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { askedOnce } from './asked.ts';
import { gauge } from './metrics.ts';

/** How often the delay of the event loop is looked at, in milliseconds. Each look wakes a process that has nothing else to do. */
const lookEveryMs = 100;

type Delays = { readonly p50: number; readonly p99: number; readonly max: number };

/**
 * The gauges of a process itself: memory, and how busy its event loop is. Ours and not @opentelemetry/instrumentation-runtime-node's, which
 * tells the time between two looks as the delay, and counts much that no metric of the catalogue is of.
 */
export function watchRuntime(): void {
  const intervals = monitorEventLoopDelay({ resolution: lookEveryMs });
  intervals.enable();
  const asked = askedOnce(async () => {
    const delays = delaysOf(intervals, lookEveryMs);
    intervals.reset();
    return delays;
  });
  const delay = (of: keyof Delays) => async () => {
    const delays = await asked();
    return delays ? [{ value: delays[of] }] : [];
  };
  gauge('nodejs.eventloop.delay.p50', delay('p50'));
  gauge('nodejs.eventloop.delay.p99', delay('p99'));
  gauge('nodejs.eventloop.delay.max', delay('max'));
  let before = performance.eventLoopUtilization();
  gauge('nodejs.eventloop.utilization', () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return [{ value: utilization }];
  });
  gauge('process.memory.usage', () => [{ value: process.memoryUsage.rss() }]);
}

/**
 * How late the looks came, in seconds: what Node keeps is the time from one to the next, in nanoseconds, in which the pause that was asked
 * for is contained. Undefined when there was no look yet.
 */
export function delaysOf(intervals: Pick<Histogram, 'count' | 'percentile' | 'max'>, pauseMs: number): Delays | undefined {
  if (intervals.count === 0) return undefined;
  const late = (ns: number) => Math.max(0, ns / 1e9 - pauseMs / 1e3);
  return { p50: late(intervals.percentile(50)), p99: late(intervals.percentile(99)), max: late(intervals.max) };
}
