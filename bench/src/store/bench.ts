// What the audit does over a store of many records: BENCH_RECORDS of them (100,000 when not given; 1,000,000 for figures that are published).
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collectionsOf, ensureIndexes, logSigners } from '@biz/audit';
import { createKeyring, readKek } from '@biz/sealing';
import { MongoClient } from 'mongodb';
import type { Report } from '../report.ts';
import { benchExport } from './export.ts';
import { fillStore } from './fill.ts';
import { type FilledStore, ORIGIN } from './filled.ts';
import { mixOf } from './mix.ts';
import { benchPages } from './pages.ts';
import { benchTravel } from './travel.ts';
import { benchVerify } from './verify.ts';

const RECORDS = Number(process.env.BENCH_RECORDS ?? 100_000);

export async function benchAuditStore({ mongodbUrl }: { mongodbUrl: string }, report: Report): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'bench-audit-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const mongo = await new MongoClient(mongodbUrl, { writeConcern: { w: 'majority', journal: true }, ignoreUndefined: true }).connect();
  stack.defer(() => mongo.close());
  const db = mongo.db(`bench_${randomBytes(6).toString('hex')}`);
  stack.defer(async () => {
    await db.dropDatabase();
  });
  const collections = collectionsOf(db);
  const keyring = createKeyring({ database: db, kek: await readKek({ value: randomBytes(32).toString('base64') }) });
  await Promise.all([ensureIndexes(collections), keyring.ensureIndexes()]);
  const signerOf = logSigners(ORIGIN, randomBytes(32).toString('base64'));
  const file = join(folder, 'checkpoints.jsonl');
  const mix = mixOf(RECORDS);
  const started = performance.now();
  await fillStore({ db, collections, keyring, signerOf, file }, mix);
  report.add('filling a store, for the figures below', RECORDS / ((performance.now() - started) / 1000), 'records/s', {
    spread: `${RECORDS} records of ${mix.entities.length} entities, without Kafka and look-ups`,
  });
  const store: FilledStore = { mongodbUrl, db, collections, keyring, mix, records: RECORDS, file, signerOf };
  await benchVerify(store, report);
  await benchExport(store, report);
  await benchTravel(store, report);
  await benchPages(store, report);
}
