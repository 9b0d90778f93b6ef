import { assertEmpty, type Backup, BackupFault, load, type Manifest, makeIndexes, readDocument } from '@biz/backup';
import { newId } from '@biz/service';
import type { Db, Document, MongoClient } from 'mongodb';
import { collectionsOf, ensureIndexes } from '../collections.ts';
import type { About } from './about.ts';
import { keysToRestore } from './keys.ts';
import { beginRestore, clearUnfinished, endRestore } from './marker.ts';
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
  /** What belongs to it and is no document of the backup; cut short before its end, all is begun anew. */
  conclude?: (result: RestoreResult) => Promise<void>;
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
  const noted = client.db(hasAudit ? about.audit_database : databases[0]);
  const keyrings = keys === undefined ? [] : keys.manifest.collections.map(({ database }) => database);
  await clearUnfinished(noted, options.again ?? false);
  // A lease says that a process ran, and is nobody's data.
  await assertEmpty(client, [...databases, ...keyrings], ['leases']);
  for (const one of keys === undefined ? [backup] : [backup, keys]) {
    await one.check((done, total) => onProgress(`checking files: ${Math.floor((100 * done) / Math.max(1, total))} %`));
  }
  const id = newId();
  await beginRestore(noted, { id, backup: backup.manifest.id, databases: [...databases, ...keyrings] });
  options.onBegin?.(databases);
  const result = { id, databases, documents: 0, records: 0, keys: 0, erasedAgain: 0 };
  // Keys first: an erasure that is made good must not wait for anything.
  if (keys !== undefined) Object.assign(result, await restoreKeys(client, keys, erased));
  const entries = backup.manifest.collections.filter(({ database }) => databases.includes(database));
  // Indexes before documents: it costs less than to make them of full collections, and what is unique is, from the first document on.
  for (const { database, collection, indexes } of entries) await makeIndexes(client.db(database).collection(collection), indexes);
  if (hasAudit) await ensureIndexes(collectionsOf(client.db(about.audit_database)));
  for (const entry of entries) {
    if (entry.database === about.audit_database && byRecords.has(entry.collection)) continue;
    result.documents += await restoreCollection(client.db(entry.database), backup, entry, new Date(about.cut_at), onProgress);
  }
  if (hasAudit) {
    const { records } = await restoreAudit({ backup, about, db: client.db(about.audit_database), erased, onProgress });
    result.records = records;
    result.documents += records;
  }
  await options.conclude?.(result);
  await endRestore(noted, id);
  return result;
}

/** Data keys into an empty keyring; those in `erased` without what they were. */
export async function restoreKeys(
  client: MongoClient,
  keys: Backup,
  erased: ReadonlySet<string>,
): Promise<{ keys: number; erasedAgain: number }> {
  let erasedAgain = 0;
  let restored = 0;
  for (const { database, collection, indexes } of keys.manifest.collections) {
    const target = client.db(database).collection<Document>(collection);
    await makeIndexes(target, indexes);
    restored += await load(
      target,
      keysToRestore(keys, erased, (count) => {
        erasedAgain += count;
      }),
    );
  }
  return { keys: restored, erasedAgain };
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
