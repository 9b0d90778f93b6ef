import { setTimeout as pause } from 'node:timers/promises';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { auditTopic, deadLetterTopic } from './fleet.ts';

const TRIES = 40;
const PAUSE_MS = 250;

/** Makes the fleet's topics where they are missing; those that are there stay as they are. A broker that is just starting is asked again. */
export async function ensureTopics(brokers: string): Promise<void> {
  const kafka = new Kafka({ clientId: 'biz-local', brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry: { retries: 2 } });
  const admin = kafka.admin();
  await admin.connect();
  try {
    await insistently(() => makeMissing(admin));
  } finally {
    await admin.disconnect();
  }
}

async function makeMissing(admin: Admin): Promise<void> {
  const present = await admin.listTopics();
  const missing = [auditTopic, deadLetterTopic].filter(({ name }) => !present.includes(name));
  if (missing.length === 0) return;
  await admin.createTopics({
    waitForLeaders: true,
    topics: missing.map(({ name, partitions, retentionMs }) => ({
      topic: name,
      numPartitions: partitions,
      configEntries: [{ name: 'retention.ms', value: String(retentionMs) }],
    })),
  });
}

async function insistently(run: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (attempt === TRIES) throw error;
      await pause(PAUSE_MS);
    }
  }
}
