import { askedOnce, counter, gauge, histogram, timed } from '@biz/telemetry';
import type { Batch, Lag } from './types.ts';

const durations = histogram('messaging.process.duration');
const consumed = counter('messaging.client.consumed.messages');
const sizes = histogram('biz.consumer.batch.size');

/** Counts and times the work on one batch. */
export async function measured(groupId: string, { topic, messages }: Batch, work: () => Promise<void>): Promise<void> {
  const labels = { 'messaging.destination.name': topic, 'messaging.consumer.group.name': groupId };
  await timed(durations, labels, work);
  consumed.add(messages.length, labels);
  sizes.record(messages.length, labels);
}

/**
 * Lets every collection of metrics ask the brokers how far a group is behind. Asked and not counted here, so that a consumer that hangs, or has
 * no partition, tells of the messages that wait as well.
 */
export function watchLag(groupId: string, topics: readonly string[], lag: (topic: string) => Promise<Lag[]>): Disposable {
  const asked = askedOnce(async () => (await Promise.all(topics.map(lag))).flat());
  return gauge('biz.consumer.lag', async () =>
    (await asked()).map(({ topic, partition, lag: behind }) => ({
      value: Number(behind),
      attributes: {
        'messaging.destination.name': topic,
        'messaging.consumer.group.name': groupId,
        'messaging.destination.partition.id': String(partition),
      },
    })),
  );
}
