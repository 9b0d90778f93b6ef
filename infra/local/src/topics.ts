import { setTimeout as pause } from 'node:timers/promises';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { replicationOf } from './engines/kafka.ts';
import { auditTopic, deadLetterTopic } from './fleet.ts';

const TRIES = 40;
const PAUSE_MS = 250;

/**
 * Makes the fleet's topics where they are missing; those that are there stay as they are. A broker that is just starting is asked again.
 * Copies are as many as there are brokers, three at most, of which all but one must have a message (see replicationOf); the
 * environment may say otherwise (TOPIC_REPLICATION, TOPIC_MIN_INSYNC), for a Kafka elsewhere.
 */
export async function ensureTopics(brokers: string, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const given = { replicas: wholeIn(env, 'TOPIC_REPLICATION'), inSync: wholeIn(env, 'TOPIC_MIN_INSYNC') };
  const named = brokers.split(',').length;
  const kafka = new Kafka({ clientId: 'biz-local', brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry: { retries: 2 } });
  const admin = kafka.admin();
  await admin.connect();
  try {
    await insistently(() => makeMissing(admin, named, given));
  } finally {
    await admin.disconnect();
  }
}

async function makeMissing(
  admin: Admin,
  named: number,
  given: { replicas: number | undefined; inSync: number | undefined },
): Promise<void> {
  const present = await admin.listTopics();
  const missing = [auditTopic, deadLetterTopic].filter(({ name }) => !present.includes(name));
  if (missing.length === 0) return;
  const { brokers } = await admin.describeCluster();
  if (brokers.length < named && given.replicas === undefined) throw new Error(`${brokers.length} of ${named} brokers are there`);
  const { replicas, inSync } = replicationOf(given.replicas ?? brokers.length);
  await admin.createTopics({
    waitForLeaders: true,
    topics: missing.map(({ name, partitions, retentionMs }) => ({
      topic: name,
      numPartitions: partitions,
      replicationFactor: given.replicas ?? replicas,
      configEntries: [
        { name: 'retention.ms', value: String(retentionMs) },
        { name: 'min.insync.replicas', value: String(given.inSync ?? inSync) },
      ],
    })),
  });
}

function wholeIn(env: NodeJS.ProcessEnv, name: string): number | undefined {
  const text = env[name];
  if (!text) return undefined;
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new Error(`${name}: "${text}" is no number of replicas`);
  return Number(text);
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
