// One run of the audit's consumer in a process of its own, with telemetry or without; prints what it took.
import { randomBytes } from 'node:crypto';
import { createBus } from '@biz/bus';
import { MongoClient } from 'mongodb';
import { consumerRate, silent } from './consumer-rate.ts';

const { MONGODB_URL = '', KAFKA_BROKERS = '', BENCH_TOPIC = '' } = process.env;
await using bus = createBus({ brokers: KAFKA_BROKERS.split(','), clientId: 'bench', log: silent });
const mongo = await new MongoClient(MONGODB_URL, { writeConcern: { w: 'majority', journal: true }, ignoreUndefined: true }).connect();
const db = mongo.db(`bench_${randomBytes(6).toString('hex')}`);
try {
  console.log(JSON.stringify(await consumerRate(bus, BENCH_TOPIC, db)));
} finally {
  await db.dropDatabase();
  await mongo.close();
}
process.exit(0);
