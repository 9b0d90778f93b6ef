import { BackupFault, type BackupWriter, createBackup, indexesOf, rawDocuments } from '@biz/backup';
import { unfinishedRestore } from '@biz/service';
import { BSON, type Db, type Document, type MongoClient } from 'mongodb';
import { collectionsOf } from '../collections.ts';
import { checkpointId, recordId } from '../keys.ts';
import type { LogKeys } from '../verify/log-keys.ts';
import type { About } from './about.ts';
import { type Cut, type CutLog, type CutOptions, takeCut } from './cut.ts';
import { eventsInOrder } from './events.ts';
import { destroyedKeys } from './keys.ts';
import { Leaves } from './leaves.ts';
import { inOrder, isEvents, type Place } from './order.ts';
import { beyond, isThere, linesUpTo } from './outside-file.ts';

export interface BackupOptions extends Omit<CutOptions, 'keys'> {
  client: MongoClient;
  to: string;
  /** Databases that are taken; the audit's is among them. */
  databases: readonly string[];
  auditDatabase: string;
  keyringDatabase: string;
  keys: LogKeys;
  /** The file of checkpoints outside the database. */
  checkpointFile?: string | undefined;
  again?: boolean;
  partBytes?: number;
  onProgress?: (text: string) => void;
}

export interface BackupResult {
  id: string;
  /** SHA-256 of the manifest. */
  digest: string;
  about: About;
  documents: number;
  bytes: number;
  /** Streams of events that lack a version, some of them. */
  gaps: string[];
}

const MOST_GAPS = 20;
export const CHECKPOINTS = 'checkpoints.jsonl';
export const ERASED = 'erased.jsonl';

/**
 * Takes a backup of everything but keys, while all goes on. What the audit has is in it up to one signed moment, proven while it is
 * written; of all else at least what belongs to that moment (see order.ts). Resolves when all of it is on disk. BackupFault when the folder
 * is not empty, or the audit is not what was signed.
 */
export async function takeBackup(options: BackupOptions): Promise<BackupResult> {
  const { client, auditDatabase, keyringDatabase, onProgress = () => undefined } = options;
  const audit = client.db(auditDatabase);
  await assertTakeable(options);
  const writer = await createBackup(options.to, {
    kind: 'data',
    again: options.again ?? false,
    ...(options.partBytes && { partBytes: options.partBytes }),
  });
  onProgress('waiting for signed checkpoints');
  const cut = await takeCut(collectionsOf(audit), options);
  await assertNotRolledBack(audit, options.checkpointFile);
  const gaps: string[] = [];
  const progress = counted(onProgress);
  const logs = await writeRecords(writer, audit, cut.logs, progress);
  await writeCheckpoints(writer, audit, cut.logs, progress);
  for (const place of inOrder(await placesIn(client, options.databases), auditDatabase)) {
    const collection = client.db(place.database).collection(place.collection);
    const documents = isEvents(place.collection)
      ? eventsInOrder(
          collection,
          (stream, version) => gaps.length < MOST_GAPS && gaps.push(`${place.database} ${stream} version ${version}`),
        )
      : rawDocuments(collection);
    await writer.collection(
      { ...place, indexes: await indexesOf(collection) },
      progress.pass(`${place.database}.${place.collection}`, documents),
    );
  }
  const sizes = new Map(cut.logs.map(({ log_id, size }) => [log_id, size]));
  if (options.checkpointFile !== undefined && (await isThere(options.checkpointFile)))
    await writer.file(CHECKPOINTS, linesUpTo(options.checkpointFile, sizes));
  // Last of all: an erasure that came while the backup was written is in it.
  await writer.file(ERASED, erasedKeys(client.db(keyringDatabase)));
  const about: About = {
    cut_at: cut.at.toISOString(),
    audit_database: auditDatabase,
    keyring_database: keyringDatabase,
    kek_ids: await client.db(keyringDatabase).collection('data_keys').distinct('kek_id'),
    logs,
    beyond: cut.beyond,
  };
  const digest = await writer.finish({ ...about });
  return { id: writer.id, digest, about, ...progress.sum, gaps };
}

/** What would be found out only after minutes, or never: half a restore is no state to keep, and a database of no name is a slip. */
async function assertTakeable({ client, databases }: BackupOptions): Promise<void> {
  await placesIn(client, databases);
  for (const name of databases) {
    const unfinished = await unfinishedRestore(client.db(name));
    if (unfinished === null) continue;
    throw new BackupFault(
      `${name} is half restored since ${unfinished.began_at.toISOString()}: finish that first (docs/runbooks/restore.md)`,
    );
  }
}

/** The file first, then the sizes, which only grow: what is ahead then was signed once and is not there any more. */
async function assertNotRolledBack(audit: Db, file: string | undefined): Promise<void> {
  if (file === undefined) return;
  const signed = await beyond(file, new Map());
  const sizes = new Map((await collectionsOf(audit).logs.find().toArray()).map(({ _id, size }) => [_id, size]));
  const lost = [...signed.values()].filter(({ log_id, size }) => size > (sizes.get(log_id) ?? 0));
  if (lost.length === 0) return;
  throw new BackupFault(
    `The audit has fewer records than were signed (${lost.map(({ log_id, size }) => `${log_id}: ${sizes.get(log_id) ?? 0} of ${size}`).join(', ')}; ${file}): it was emptied or rolled back. Keep the backups from before, and see docs/runbooks/restore.md`,
  );
}

async function writeRecords(writer: BackupWriter, audit: Db, logs: Cut['logs'], progress: Counted): Promise<About['logs']> {
  const records = audit.collection<Document>('records');
  const done: About['logs'] = [];
  async function* all(): AsyncGenerator<Uint8Array> {
    for (const log of logs) {
      const leaves = new Leaves(log);
      for await (const raw of rawDocuments(records, { filter: placesOf(log) })) {
        leaves.add(BSON.deserialize(raw));
        yield raw;
      }
      done.push({ ...log, next_offset: leaves.end().nextOffset });
    }
  }
  await writer.collection(
    { database: audit.databaseName, collection: 'records', indexes: await indexesOf(records) },
    progress.pass('audit records', all()),
  );
  return done;
}

function placesOf({ log_id, size }: CutLog): object {
  return { _id: { $gte: recordId(log_id, 0), $lt: recordId(log_id, size) } };
}

async function writeCheckpoints(writer: BackupWriter, audit: Db, logs: Cut['logs'], progress: Counted): Promise<void> {
  const checkpoints = audit.collection<Document>('checkpoints');
  async function* all(): AsyncGenerator<Uint8Array> {
    for (const { log_id, size } of logs) {
      yield* rawDocuments(checkpoints, { filter: { _id: { $gte: checkpointId(log_id, 0), $lte: checkpointId(log_id, size) } } as object });
    }
  }
  await writer.collection({ database: audit.databaseName, collection: 'checkpoints', indexes: [] }, progress.pass('checkpoints', all()));
}

async function placesIn(client: MongoClient, databases: readonly string[]): Promise<Place[]> {
  const found = await Promise.all(
    databases.map(async (database) => {
      const collections = await client.db(database).listCollections({}, { nameOnly: true }).toArray();
      return collections.map(({ name }) => ({ database, collection: name }));
    }),
  );
  const empty = databases.filter((_, at) => found[at]?.length === 0);
  if (empty.length > 0)
    throw new BackupFault(`There is nothing in the databases ${empty.join(', ')}: are these their names, on this server?`);
  return found.flat();
}

/** Ids of keys that were destroyed, a line each: nothing that opens anything, and nothing personal. */
async function* erasedKeys(keyring: Db): AsyncGenerator<string> {
  for (const key_id of await destroyedKeys(keyring)) yield `${JSON.stringify({ key_id })}\n`;
}

type Counted = ReturnType<typeof counted>;

/** Counts what goes through, and tells of it. */
function counted(onProgress: (text: string) => void) {
  const sum = { documents: 0, bytes: 0 };
  async function* pass(what: string, documents: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let count = 0;
    for await (const document of documents) {
      count += 1;
      sum.documents += 1;
      sum.bytes += document.length;
      if (count % 1_000 === 0) onProgress(`${what}: ${count.toLocaleString('en')} (${Math.round(sum.bytes / 1e6)} MB in all)`);
      yield document;
    }
  }
  return { pass, sum };
}
