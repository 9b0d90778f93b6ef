import { setTimeout as pause } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { registerCodecs } from './codecs.ts';
import { createConsumer } from './consumer.ts';
import { quietLog } from './kafka-log.ts';
import { watchLag } from './metrics.ts';
import { createProducer } from './producer.ts';
import type { Bus, BusConnection, BusConsumer, BusLog, Lag } from './types.ts';

const UNHEARD_TRIES = 100;
const UNHEARD_PAUSE_MS = 100;

/** Kafka behind a small port. Nothing is connected before it is used. */
export function createBus(options: BusConnection & { clientId: string; log: BusLog }): Bus {
  registerCodecs();
  const kafka = new kafkajs.Kafka({
    brokers: options.brokers,
    clientId: options.clientId,
    ...(options.tls && { ssl: options.tls.ca === undefined ? true : { ca: [options.tls.ca] } }),
    ...(options.sasl && { sasl: saslOf(options.sasl) }),
    connectionTimeout: 3_000,
    requestTimeout: 10_000,
    logCreator: quietLog(options.log),
    retry: { retries: 8, initialRetryTime: 200, maxRetryTime: 5_000 },
  });
  const opened: AsyncDisposable[] = [];
  const keep = <T extends AsyncDisposable>(part: T): T => {
    opened.push(part);
    return part;
  };
  const lag = (groupId: string, topic: string) => withAdmin(kafka, (admin) => lagOf(admin, groupId, topic));
  return {
    producer: () => keep(createProducer(kafka, options.log)),
    consumer: (consumerOptions) => {
      const { groupId, topics } = consumerOptions;
      return keep(
        watched(
          createConsumer(kafka, consumerOptions, options.log),
          watchLag(groupId, topics, (topic) => lag(groupId, topic)),
        ),
      );
    },
    ensureTopics: (topics) =>
      withAdmin(kafka, async (admin) => {
        const present = new Set(await admin.listTopics());
        const missing = topics.filter(({ topic }) => !present.has(topic));
        if (missing.length > 0) {
          await createTopics(
            admin,
            missing.map(({ topic, partitions, config = {} }) => ({
              topic,
              numPartitions: partitions,
              configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
            })),
          );
        }
      }),
    lag,
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(opened.map((part) => part[Symbol.asyncDispose]()));
    },
  };
}

/** The consumer, with what goes when it does. */
function watched(consumer: BusConsumer, watch: Disposable): BusConsumer {
  return {
    get joined() {
      return consumer.joined;
    },
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]();
      await consumer[Symbol.asyncDispose]();
    },
  };
}

/** kafkajs has a type for each mechanism. */
function saslOf({ mechanism, ...credentials }: NonNullable<BusConnection['sasl']>): kafkajs.SASLOptions {
  return { mechanism, ...credentials } as kafkajs.SASLOptions;
}

async function withAdmin<T>(kafka: kafkajs.Kafka, work: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** kafkajs can wait for leaders, but gives up on a broker that has not heard of the topic yet. */
async function createTopics(admin: kafkajs.Admin, topics: kafkajs.ITopicConfig[]): Promise<void> {
  await admin.createTopics({ topics, waitForLeaders: false });
  for (let tries = 1; ; tries += 1) {
    try {
      await admin.fetchTopicMetadata({ topics: topics.map(({ topic }) => topic) });
      return;
    } catch (error) {
      const unheard = error instanceof Error && 'type' in error && error.type === 'UNKNOWN_TOPIC_OR_PARTITION';
      if (!unheard || tries === UNHEARD_TRIES) throw error;
      await pause(UNHEARD_PAUSE_MS);
    }
  }
}

async function lagOf(admin: kafkajs.Admin, groupId: string, topic: string): Promise<Lag[]> {
  const [ends, [group]] = await Promise.all([admin.fetchTopicOffsets(topic), admin.fetchOffsets({ groupId, topics: [topic] })]);
  const committedOf = new Map(group?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]));
  return ends
    .map(({ partition, high, low }) => {
      const end = BigInt(high);
      const known = committedOf.get(partition) ?? -1n;
      // A group that has committed nothing (-1), or is behind what is still kept, starts at the first offset kept.
      const committed = known > BigInt(low) ? known : BigInt(low);
      return { topic, partition, committed, end, lag: end - committed };
    })
    .sort((a, b) => a.partition - b.partition);
}
