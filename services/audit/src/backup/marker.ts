import { BackupFault } from '@biz/backup';
import type { Collection, Db } from 'mongodb';

/** That a restore was begun, and that it was finished: in the audit's database, or in the only one that is restored. */
interface RestoreDocument {
  _id: string;
  backup: string;
  databases: string[];
  began_at: Date;
  ended_at: Date | null;
}

/** The restore that was begun and not finished; null when there is none. */
export async function unfinishedRestore(db: Db): Promise<RestoreDocument | null> {
  return restoresIn(db).findOne({ ended_at: null });
}

/** Throws when a restore was begun in this database and not finished: nothing may write to half of a backup. */
export async function assertRestored(db: Db): Promise<void> {
  const unfinished = await unfinishedRestore(db);
  if (unfinished === null) return;
  throw new Error(
    `a restore was begun ${unfinished.began_at.toISOString()} and not finished; run it again with --again (docs/runbooks/restore.md)`,
  );
}

export async function beginRestore(db: Db, restore: { id: string; backup: string; databases: readonly string[] }): Promise<void> {
  const { id, backup, databases } = restore;
  await restoresIn(db).insertOne({ _id: id, backup, databases: [...databases], began_at: new Date(), ended_at: null });
}

export async function endRestore(db: Db, id: string): Promise<void> {
  await restoresIn(db).updateOne({ _id: id }, { $set: { ended_at: new Date() } });
}

/**
 * Throws away what a restore that was cut short has left, and nothing else: databases are dropped only where a restore was begun and not
 * finished. The one with the note of it goes last, so that this can be cut short, too.
 */
export async function clearUnfinished(db: Db, again: boolean): Promise<void> {
  const unfinished = await unfinishedRestore(db);
  if (unfinished === null) {
    if (again) throw new BackupFault('--again: no restore was begun here and not finished');
    return;
  }
  const since = unfinished.began_at.toISOString();
  if (!again) {
    throw new BackupFault(
      `A restore was begun here ${since} and not finished. --again drops what it has left (the databases ${unfinished.databases.join(', ')}) and begins anew`,
    );
  }
  const others = unfinished.databases.filter((name) => name !== db.databaseName);
  for (const name of others) await db.client.db(name).dropDatabase();
  await db.dropDatabase();
}

function restoresIn(db: Db): Collection<RestoreDocument> {
  return db.collection('restores', { writeConcern: { w: 'majority', journal: true } });
}
