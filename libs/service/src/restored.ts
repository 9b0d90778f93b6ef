import type { Db } from 'mongodb';

/** A note of a restore, in each database that it fills; services/audit/src/backup/marker.ts writes it. */
export interface RestoreNote {
  _id: string;
  /** Of the backup. */
  backup: string;
  /** All that are restored together; the first has the note that is made first and ended last. */
  databases: string[];
  began_at: Date;
  /** When all documents were in; null until then. */
  documents_at: Date | null;
  /** When what is made of them was, too; until then nothing may run on it. */
  ended_at: Date | null;
}

/** The restore into this database that is not finished; null when there is none. */
export async function unfinishedRestore(db: Db): Promise<RestoreNote | null> {
  return db.collection<RestoreNote>('restores').findOne({ ended_at: null });
}

/**
 * Throws while a restore into this database is not finished: nothing may read or write half of a backup. `mayFold` is for what makes the current state
 * from events, which is the last part of a restore.
 */
export async function assertRestored(db: Db, { mayFold = false } = {}): Promise<void> {
  const note = await unfinishedRestore(db);
  if (note === null) return;
  const since = note.began_at.toISOString();
  if (!note.documents_at) {
    throw new Error(
      `${db.databaseName}: a restore was begun ${since} and not finished; run it again with --again (docs/runbooks/restore.md)`,
    );
  }
  if (!mayFold)
    throw new Error(
      `${db.databaseName}: the restore of ${since} is not finished, the current state is not made from the events yet: npm run restore -- --from DIR --finish, in a cluster the service's rebuild (docs/runbooks/restore.md)`,
    );
}

/** The current state has been made from the events: ends a restore that waited for that. */
export async function foldedAfterRestore(db: Db): Promise<void> {
  const waiting = { ended_at: null, documents_at: { $ne: null } };
  await db
    .collection<RestoreNote>('restores', { writeConcern: { w: 'majority', journal: true } })
    .updateMany(waiting, { $set: { ended_at: new Date() } });
}
