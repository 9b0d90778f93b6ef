// The audit consumer on a topic of 100,000 envelopes of 700 bytes, six partitions, beside its floor in the same run: kafkajs, JSON.parse, and one
// unordered insertMany with five indexes.
import { randomBytes, randomUUID } from 'node:crypto';
import { collectionsOf } from '@biz/audit';
import { createBus } from '@biz/bus';
import { TILE_WIDTH } from '@biz/merkle';
import kafkajs from 'kafkajs';
import { MongoClient } from 'mongodb';
import { BATCH, CONCURRENCY, consumerRate, ENVELOPES, FETCH_BYTES, silent, timed } from './consumer-rate.ts';
import type { Engines, Report } from './report.ts';
import { benchTelemetryCost } from './telemetry-cost.ts';
import { benchLeaves } from './tree.ts';

const BYTES = 700;
const PARTITIONS = 6;
/** Records that the tree's share is measured on. */
const MOST_LEAVES = 20_000;

/** What the envelopes are about: four events an entity on average, in random order. */
const spread = { entities: ENVELOPES / 4, ownerships: ENVELOPES / 50, owners: 500, companies: 10 };

export async function benchAuditConsumer(engines: Engines, report: Report): Promise<void> {
  const topic = `bench-audit-${randomUUID()}`;
  await using bus = createBus({ brokers: engines.kafkaBrokers, clientId: 'bench', log: silent });
  await bus.ensureTopics([{ topic, partitions: PARTITIONS }]);
  await fill(bus.producer(), topic);
  const mongo = await new MongoClient(engines.mongodbUrl, {
    writeConcern: { w: 'majority', journal: true },
    ignoreUndefined: true,
  }).connect();
  const db = mongo.db(`bench_${randomBytes(6).toString('hex')}`);
  try {
    const floor = await floorRate(engines, topic, db);
    const { rate } = await consumerRate(bus, topic, db);
    report.add('audit consumer, 700-byte envelopes, six partitions', rate, 'records/s', {
      floor,
      spread: `${ENVELOPES} envelopes, one run`,
    });
    const seconds = await benchLeaves(await collectionsOf(db).events.find().limit(MOST_LEAVES).toArray(), report);
    report.add("share of the tree in the consumer's time", seconds * rate * 100, '%', {
      spread: `leaf and tree of a record: ${(seconds * 1e6).toFixed(1)} µs of one core; tiles are inserted once in ${TILE_WIDTH} records`,
    });
    await benchTelemetryCost(engines, topic, report);
  } finally {
    await db.dropDatabase();
    await mongo.close();
  }
}

async function fill(producer: ReturnType<ReturnType<typeof createBus>['producer']>, topic: string): Promise<void> {
  const entities = Array.from({ length: spread.entities }, () => randomUUID());
  const pick = (count: number) => Math.floor(Math.random() * count);
  const seen = new Set<string>();
  for (let sent = 0; sent < ENVELOPES; sent += BATCH) {
    const messages = Array.from({ length: BATCH }, () => {
      const entity = entities[pick(entities.length)] as string;
      const verb = seen.has(entity) ? 'updated' : 'created';
      seen.add(entity);
      const envelope = {
        producer_service: 'loyalty_service',
        producer_service_id: '0b9c7a51-9e64-4d0e-8f0a-1c1f3b8f6b52',
        trace_id: randomUUID().replaceAll('-', ''),
        timestamp: new Date().toISOString(),
        event_type: `card.${verb}`,
        payload: { id: entity, note: '' },
        metadata: {
          event_id: randomUUID(),
          owner_id: `u-${pick(spread.owners)}`,
          owner_ip: '203.0.113.7',
          owner_role: 'manager',
          owner_type: 'user',
          event_schema_version: '1.0',
          ownership_id: `o-${pick(spread.ownerships)}`,
          company_id: `c-${entity.charCodeAt(0) % spread.companies}`,
        },
      };
      envelope.payload.note = 'x'.repeat(Math.max(0, BYTES - JSON.stringify(envelope).length));
      const headers = { traceparent: `00-${envelope.trace_id}-${randomBytes(8).toString('hex')}-01` };
      return { key: entity, value: JSON.stringify(envelope), headers };
    });
    await producer.send(topic, messages);
  }
}

/** The least that has to be done: read, parse, insert, index, commit. */
async function floorRate(engines: Engines, topic: string, db: ReturnType<MongoClient['db']>): Promise<number> {
  const collection = db.collection('floor');
  for (const key of ['event_id', 'entity_id', 'ownership_id', 'owner_id', 'trace_id']) {
    await collection.createIndex({ [key]: 1 });
  }
  const consumer = new kafkajs.Kafka({ brokers: engines.kafkaBrokers, logLevel: kafkajs.logLevel.NOTHING }).consumer({
    groupId: `${topic}-floor`,
    maxBytesPerPartition: FETCH_BYTES,
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const rate = await timed((count) =>
    consumer.run({
      autoCommit: false,
      partitionsConsumedConcurrently: CONCURRENCY,
      eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary }) => {
        for (let from = 0; from < batch.messages.length; from += BATCH) {
          const messages = batch.messages.slice(from, from + BATCH);
          const documents = messages.map(({ value }) => {
            const { metadata, ...envelope } = JSON.parse(String(value));
            return { ...envelope, ...metadata, entity_id: envelope.payload.id };
          });
          await collection.insertMany(documents, { ordered: false });
          const last = messages.at(-1)?.offset as string;
          resolveOffset(last);
          const offset = String(BigInt(last) + 1n);
          await commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition: batch.partition, offset }] }] });
          count(messages.length);
        }
      },
    }),
  );
  await consumer.disconnect();
  return rate;
}
