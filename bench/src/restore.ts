// A backup of the audit and its restore, beside their floors in the same run: reading all documents, and a bare insertMany of the same documents into a
// collection with the same indexes.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { aboutOf, collectionsOf, ensureIndexes, LogKeys, logSigners, restoreBackup, takeBackup } from '@biz/audit';
import { indexesOf, load, makeIndexes, openBackup, rawDocuments, readDocument } from '@biz/backup';
import { createKeyring, readKek } from '@biz/sealing';
import { type Document, MongoClient } from 'mongodb';
import type { Report } from './report.ts';
import { fillStore } from './store/fill.ts';
import { ORIGIN } from './store/filled.ts';
import { mixOf } from './store/mix.ts';

const RECORDS = Number(process.env.BENCH_RECORDS ?? 50_000);
const BATCH = 1_000;

export async function benchRestore({ mongodbUrl }: { mongodbUrl: string }, report: Report): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'bench-restore-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const client = await new MongoClient(mongodbUrl, { writeConcern: { w: 'majority', journal: true }, ignoreUndefined: true }).connect();
  stack.defer(() => client.close());
  const name = `bench_${randomBytes(6).toString('hex')}`;
  const [db, bare, keyringDb] = [client.db(name), client.db(`${name}_bare`), client.db(`${name}_keys`)];
  for (const one of [db, bare, keyringDb]) stack.defer(async () => void (await one.dropDatabase()));
  const collections = collectionsOf(db);
  const keyring = createKeyring({ database: keyringDb, kek: await readKek({ value: randomBytes(32).toString('base64') }) });
  await Promise.all([ensureIndexes(collections), keyring.ensureIndexes()]);
  const signerOf = logSigners(ORIGIN, randomBytes(32).toString('base64'));
  await fillStore({ db, collections, keyring, signerOf, file: join(folder, 'checkpoints.jsonl') }, mixOf(RECORDS));

  const reading = await seconds(async () => {
    for await (const _ of rawDocuments(db.collection('records')));
  });
  const keys = new LogKeys(ORIGIN, signerOf('any').publicKey);
  const to = join(folder, 'data');
  let bytes = 0;
  const backup = await seconds(async () => {
    const names = { databases: [name], auditDatabase: name, keyringDatabase: keyringDb.databaseName };
    ({ bytes } = await takeBackup({ client, to, keys, ...names }));
  });
  const megabytes = (each: number) => `${((bytes / 1e6) * (1 / each)).toFixed(1)} MB/s of documents`;
  report.add('backup of the audit', RECORDS / backup, 'records/s', {
    floor: RECORDS / reading,
    spread: `${RECORDS} records, one run, ${megabytes(backup)}; it proves each log while it reads`,
  });

  const opened = await openBackup(to);
  const entry = opened.manifest.collections.find(({ collection }) => collection === 'records');
  if (entry === undefined) throw new Error('no records in the backup');
  const indexes = await indexesOf(db.collection('records'));
  await makeIndexes(bare.collection('before'), indexes);
  const documents = async function* (): AsyncGenerator<Document[]> {
    for await (const part of opened.parts(entry)) {
      for (let from = 0; from < part.length; from += BATCH) yield part.slice(from, from + BATCH).map((raw) => readDocument(raw).stored);
    }
  };
  const floor = await seconds(() => load(bare.collection('before'), documents()));
  const after = await seconds(async () => {
    await load(bare.collection('after'), documents());
    await makeIndexes(bare.collection('after'), indexes);
  });
  await db.dropDatabase();
  const about = aboutOf(opened.manifest, keys);
  const restore = await seconds(() => restoreBackup({ client, backup: opened, about, erased: new Set() }));
  report.add('restore of the audit', RECORDS / restore, 'records/s', {
    floor: RECORDS / floor,
    spread: `${megabytes(restore)}; hashes checked, trees, heads, ownerships, flags made. Floor: insertMany of the records with their indexes; with the indexes made after it ${Math.round(RECORDS / after)} records/s`,
  });
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
}
