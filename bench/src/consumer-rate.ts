// The audit's consumer on a topic that is full, as it is in the service, timed.
import { randomBytes, randomUUID } from 'node:crypto';
import { collectionsOf, createMongoStore, ensureIndexes, ingest, Pending } from '@biz/audit';
import type { createBus } from '@biz/bus';
import { createKeyring, readKek } from '@biz/sealing';
import { flushTelemetry } from '@biz/telemetry';
import type { Db } from 'mongodb';

export const ENVELOPES = Number(process.env.BENCH_ENVELOPES ?? 100_000);
export const BATCH = 1_000;
export const FETCH_BYTES = 4 * 1024 * 1024;
export const CONCURRENCY = Number(process.env.BENCH_CONCURRENCY ?? 4);
export const silent = { debug() {}, info() {}, warn: console.warn, error: console.error };

export interface Rate {
  /** Records a second. */
  rate: number;
  /** Of this process, for each record, in microseconds: what other processes do at the same time is not in it. */
  cpu_us: number;
}

/** Reads the whole topic, in a group of its own. What telemetry still holds at the end is sent, and counted. */
export async function consumerRate(bus: ReturnType<typeof createBus>, topic: string, db: Db): Promise<Rate> {
  const collections = collectionsOf(db);
  const keyring = createKeyring({ database: db, kek: await readKek({ value: randomBytes(32).toString('base64') }) });
  await Promise.all([ensureIndexes(collections), keyring.ensureIndexes()]);
  const parts = {
    store: createMongoStore(collections),
    pending: new Pending(),
    keyring,
    producer: bus.producer(),
    dlqTopic: `${topic}.dlq`,
    log: silent,
  };
  let consumer: AsyncDisposable | undefined;
  const before = process.cpuUsage();
  const rate = await timed(async (count) => {
    consumer = bus.consumer({
      groupId: `${topic}-${randomUUID()}`,
      topics: [topic],
      maxBatchRecords: BATCH,
      maxBatchBytes: FETCH_BYTES,
      concurrency: CONCURRENCY,
      batch: async (batch) => count((await ingest(parts, batch)).records),
      onFatal: (error) => {
        throw error;
      },
    });
  });
  await flushTelemetry(10_000);
  const { user, system } = process.cpuUsage(before);
  await consumer?.[Symbol.asyncDispose]();
  return { rate, cpu_us: (user + system) / ENVELOPES };
}

/** Records a second, from the first batch that is done to the last: joining the group is not counted. */
export function timed(run: (count: (records: number) => void) => Promise<unknown>): Promise<number> {
  return new Promise((resolve, reject) => {
    let done = 0;
    let first = 0;
    let startedAt = 0;
    run((records) => {
      done += records;
      if (startedAt === 0) {
        startedAt = performance.now();
        first = records;
      }
      if (done >= ENVELOPES) {
        resolve(((done - first) / (performance.now() - startedAt)) * 1000);
      }
    }).catch(reject);
  });
}
