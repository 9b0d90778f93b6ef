import { askedOnce, counter, gauge, histogram, timed } from '@biz/telemetry';

const relayed = counter('biz.relay.events');
const durations = histogram('biz.relay.batch.duration');
const sizes = histogram('biz.relay.batch.size');

/** Counts and times the delivery of one batch. */
export async function measured(relay: string, size: number, work: () => Promise<void>): Promise<void> {
  const labels = { 'biz.relay': relay };
  await timed(durations, labels, work);
  relayed.add(size, labels);
  sizes.record(size, labels);
}

/** Lets every collection of metrics ask what waits, once for both gauges; each process of a service gives the same figures. */
export function watchLag(relay: string, lag: () => Promise<{ count: number; oldest_ms: number }>): Disposable {
  const asked = askedOnce(lag);
  const attributes = { 'biz.relay': relay };
  const stack = new DisposableStack();
  stack.use(gauge('biz.relay.waiting', async () => [{ value: (await asked()).count, attributes }]));
  stack.use(gauge('biz.relay.oldest', async () => [{ value: (await asked()).oldest_ms / 1_000, attributes }]));
  return stack;
}
