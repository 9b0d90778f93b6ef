import { assertEmpty, type Backup, BackupFault, load, type Manifest, makeIndexes, readDocument } from '@biz/backup';
import { newId } from '@biz/service';
import type { Db, Document, MongoClient } from 'mongodb';
import { collectionsOf, ensureIndexes } from '../collections.ts';
import type { About } from './about.ts';
import { checkKeys, destroyedKeys, keysToRestore } from './keys.ts';
import { beginRestore, clearUnfinished, endRestore, notData } from './marker.ts';
import { isEvents } from './order.ts';
import { restoreAudit } from './restore-audit.ts';

export interface RestoreOptions {
  client: MongoClient;
  backup: Backup;
  about: About;
  /** The backup of keys, of the same time or later; without it what is sealed stays closed. */
  keys?: Backup | undefined;
  /** Databases to restore; all of the backup when not given. */
  only?: readonly string[] | undefined;
  /** Ids of data keys that were destroyed since. */
  erased: ReadonlySet<string>;
  again?: boolean;
  /** Everything was checked, and writing begins. */
  onBegin?: (databases: readonly string[]) => void;
  /** What belongs to it and is no document of the backup; cut short before its end, or with false, the restore is not finished. */
  conclude?: (result: RestoreResult) => Promise<boolean>;
  onProgress?: (text: string) => void;
}

export interface RestoreResult {
  id: string;
  databases: string[];
  documents: number;
  records: number;
  /** Data keys restored, and those of them that were destroyed again. */
  keys: number;
  erasedAgain: number;
}

/** Before the cut, how far back events are published again: their publication may have been behind the records by that much, and clocks differ. */
const PUBLISH_AGAIN_MS = 5 * 60_000;
const byRecords = new Set(['records', 'ownerships']);

/**
 * Makes the databases of a backup again, in empty databases only. Every file is checked before anything is written; what is derived in the
 * audit is made by its own code, and its trees must be the signed ones. What services fold from their events (`current`) is made by
 * their own `rebuild`, after this. Cut short it is told of the next time, and begun anew with `again`.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreResult> {
  const { client, backup, about, keys, erased, onProgress = () => undefined } = options;
  const all = [...new Set(backup.manifest.collections.map(({ database }) => database))];
  const databases = options.only === undefined ? all : [...options.only];
  const unknown = databases.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new BackupFault(`The backup has no database ${unknown.join(', ')}; it has ${all.join(', ')}`);
  const hasAudit = databases.includes(about.audit_database);
  const keyrings = keys === undefined ? [] : databasesOf(keys);
  const filled = [
    ...databases.toSorted((one, other) => Number(other === about.audit_database) - Number(one === about.audit_database)),
    ...keyrings,
  ];
  if (keys !== undefined) await assertSameKeys(keys, about);
  await clearUnfinished(client, filled, options.again ?? false);
  await assertEmpty(client, filled, notData);
  await backup.check((done, total) => onProgress(`checking files: ${Math.floor((100 * done) / Math.max(1, total))} %`));
  const id = newId();
  const result = { id, databases, documents: 0, records: 0, keys: 0, erasedAgain: 0 };
  const entries = backup.manifest.collections.filter(({ database }) => databases.includes(database));
  const toFold = new Set(
    entries.filter((one) => one.collection === 'events' && one.database !== about.audit_database).map((one) => one.database),
  );
  await orUnfinished(async () => {
    await beginRestore(client, { id, backup: backup.manifest.id, databases: filled });
    options.onBegin?.(databases);
    // Keys first: an erasure that is made good must not wait for anything.
    if (keys !== undefined) Object.assign(result, await loadKeys(client, keys, erased, onProgress));
    // Also what was destroyed since the backup of data, as the keyring tells it: one that was restored, or that was never lost.
    const destroyed = new Set([...erased, ...(await destroyedKeys(client.db(about.keyring_database)))]);
    // Indexes before documents: it costs less than to make them of full collections, and what is unique is, from the first document on.
    for (const { database, collection, indexes } of entries) await makeIndexes(client.db(database).collection(collection), indexes);
    if (hasAudit) await ensureIndexes(collectionsOf(client.db(about.audit_database)));
    for (const entry of entries) {
      if (entry.database === about.audit_database && byRecords.has(entry.collection)) continue;
      result.documents += await restoreCollection(client.db(entry.database), backup, entry, new Date(about.cut_at), onProgress);
    }
    if (hasAudit) {
      const { records } = await restoreAudit({ backup, about, db: client.db(about.audit_database), erased: destroyed, onProgress });
      result.records = records;
      result.documents += records;
    }
    if ((await options.conclude?.(result)) !== false) await endRestore(client, id, filled, toFold);
  });
  return result;
}

/** Data keys alone, into an empty keyring; those in `erased` without what they were. Cut short, it is told of the next time, and begun anew with `again`. */
export async function restoreKeys(options: {
  client: MongoClient;
  keys: Backup;
  erased: ReadonlySet<string>;
  again?: boolean;
  onProgress?: (text: string) => void;
}): Promise<{ keys: number; erasedAgain: number }> {
  const { client, keys, erased, again = false, onProgress = () => undefined } = options;
  const keyrings = databasesOf(keys);
  await clearUnfinished(client, keyrings, again);
  await assertEmpty(client, keyrings, notData);
  await checkKeys(keys);
  const id = newId();
  return orUnfinished(async () => {
    await beginRestore(client, { id, backup: keys.manifest.id, databases: keyrings });
    const done = await loadKeys(client, keys, erased, onProgress);
    await endRestore(client, id, keyrings, new Set());
    return done;
  });
}

function databasesOf({ manifest }: Backup): string[] {
  return [...new Set(manifest.collections.map(({ database }) => database))];
}

/** Keys of another environment open nothing of this one, and would be found out only when somebody reads. */
async function assertSameKeys(keys: Backup, about: About): Promise<void> {
  const [other] = databasesOf(keys).filter((name) => name !== about.keyring_database);
  if (other !== undefined)
    throw new BackupFault(`${keys.folder} is of the keyring ${other}, the data of ${about.keyring_database}: these keys are others`);
  const { kekIds } = await checkKeys(keys);
  if (kekIds.length === 0 || about.kek_ids.length === 0 || about.kek_ids.some((id) => kekIds.includes(id))) return;
  throw new BackupFault(
    `The keys in ${keys.folder} are wrapped by the key-encryption key ${kekIds.join(', ')}, those of the data by ${about.kek_ids.join(', ')}: they are keys of another environment, and open nothing of this backup`,
  );
}

async function orUnfinished<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    const text =
      'The restore is not finished, and nothing starts on what it has left. Once the cause is mended: the same command with --again';
    throw new BackupFault(`${(cause as Error).message}\n${text}`, { cause });
  }
}

async function loadKeys(
  client: MongoClient,
  keys: Backup,
  erased: ReadonlySet<string>,
  onProgress: (text: string) => void,
): Promise<{ keys: number; erasedAgain: number }> {
  const done = { keys: 0, erasedAgain: 0 };
  const again = (count: number) => {
    done.erasedAgain += count;
  };
  for (const entry of keys.manifest.collections) {
    const target = client.db(entry.database).collection<Document>(entry.collection);
    await makeIndexes(target, entry.indexes);
    const told = (count: number) => onProgress(`keys: ${count.toLocaleString('en')} of ${entry.documents.toLocaleString('en')}`);
    done.keys += await load(target, keysToRestore(keys, entry, erased, again), told);
  }
  return done;
}

function restoreCollection(
  db: Db,
  backup: Backup,
  entry: Manifest['collections'][number],
  cut: Date,
  onProgress: (text: string) => void,
): Promise<number> {
  const { collection, database, documents } = entry;
  const since = new Date(cut.getTime() - PUBLISH_AGAIN_MS);
  async function* portions(): AsyncGenerator<Document[]> {
    for await (const part of backup.parts(entry)) yield part.map((raw) => adapted(collection, readDocument(raw).stored, since));
  }
  const told = (count: number) =>
    onProgress(`${database}.${collection}: ${count.toLocaleString('en')} of ${documents.toLocaleString('en')}`);
  return load(db.collection(collection), portions(), told);
}

/**
 * An event that was published since shortly before the cut is published again: the audit of the backup may not have it, and knows it by its id if it
 * has. Keycloak is told all users again, since it may be another one.
 */
function adapted(collection: string, document: Document, since: Date): Document {
  if (isEvents(collection) && document.published_at instanceof Date && document.published_at >= since) document.published_at = null;
  if (collection === 'keycloak_resync') document.at = new Date(0);
  return document;
}
