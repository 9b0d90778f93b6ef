import { BackupFault } from '@biz/backup';
import { type RestoreNote, unfinishedRestore } from '@biz/service';
import type { Collection, Db, MongoClient } from 'mongodb';

/** Collections that may be there in a database to be restored: a lease says that a process ran, a note that a restore was, and neither is anybody's data. */
export const notData = ['leases', 'restores'];

/** Notes a restore in every database that it is going to fill, so that nothing starts on any of them; `databases[0]` first. */
export async function beginRestore(
  client: MongoClient,
  { id, backup, databases }: { id: string; backup: string; databases: readonly string[] },
): Promise<void> {
  const note = { _id: id, backup, databases: [...databases], began_at: new Date(), documents_at: null, ended_at: null };
  for (const name of databases) await notesIn(client.db(name)).insertOne(note);
}

/** All is in. What is in `toFold` waits until its service has made the current state from the events. `databases[0]` last: until then all of it is unfinished. */
export async function endRestore(
  client: MongoClient,
  id: string,
  databases: readonly string[],
  toFold: ReadonlySet<string>,
): Promise<void> {
  const now = new Date();
  for (const name of databases.toReversed()) {
    await notesIn(client.db(name)).updateOne({ _id: id }, { $set: { documents_at: now, ended_at: toFold.has(name) ? null : now } });
  }
}

/**
 * Throws away what a restore that was cut short has left in these databases, and nothing else: a database is dropped only where that very restore is
 * noted. BackupFault when there is one and `again` is not given, there is none and it is, or it was of more than these.
 */
export async function clearUnfinished(client: MongoClient, databases: readonly string[], again: boolean): Promise<void> {
  const notes = (await Promise.all(databases.map((name) => unfinishedRestore(client.db(name))))).filter((note) => note !== null);
  const cut = notes.find(({ documents_at }) => !documents_at);
  const whole = notes[0];
  if (cut === undefined && whole !== undefined) {
    throw new BackupFault(
      `The backup ${whole.backup} was restored here, and only the current state of the services is to be made from their events: npm run restore -- --from DIR --finish, in a cluster each service's rebuild`,
    );
  }
  if (cut === undefined) {
    if (again) throw new BackupFault('--again: no restore was begun here and not finished');
    return;
  }
  const [since, all] = [cut.began_at.toISOString(), cut.databases.join(', ')];
  if (!again) {
    throw new BackupFault(
      `A restore was begun here ${since} and not finished. --again drops what it has left (the databases ${all}) and begins anew`,
    );
  }
  const others = cut.databases.filter((name) => !databases.includes(name));
  if (others.length > 0) {
    throw new BackupFault(
      `The restore that was begun here ${since} was of more than this one: ${all}. Repeat it with --again and the same --from, --keys-from and --only: else ${others.join(', ')} would stay half restored`,
    );
  }
  for (const name of cut.databases.toReversed()) await dropNoted(client.db(name), cut);
}

/** The note goes last, so that this can be cut short, too. */
async function dropNoted(db: Db, { _id }: RestoreNote): Promise<void> {
  if ((await notesIn(db).findOne({ _id })) === null) return;
  for (const { name } of await db.listCollections({}, { nameOnly: true }).toArray()) {
    if (name !== 'restores' && !name.startsWith('system.')) await db.collection(name).drop();
  }
  await db.dropDatabase();
}

function notesIn(db: Db): Collection<RestoreNote> {
  return db.collection('restores', { writeConcern: { w: 'majority', journal: true } });
}
