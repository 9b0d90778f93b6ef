import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Backup, BackupFault, type CollectionEntry, createBackup, indexesOf, rawDocuments, readDocument } from '@biz/backup';
import { type DataKeyDocument, readKek, unwrapKey } from '@biz/sealing';
import type { Db, Document } from 'mongodb';

export interface KeysBackupOptions {
  keyring: Db;
  to: string;
  /** The backup of data that it is made with; null when it is taken alone. */
  of: string | null;
  /** A folder of secrets (the key-encryption key, the seed that signs checkpoints); its files go along. */
  secrets?: string | undefined;
  again?: boolean;
}

const SECRETS = 'secrets';
/** Name of the key-encryption key among them. */
const KEK = 'kek';

/**
 * The data keys (wrapped by the key-encryption key) and secrets, in a folder of their own, readable by their owner only. To be called after the
 * data is written: a key is there before anything is sealed with it, so these are all that the data needs.
 */
export async function takeKeysBackup({
  keyring,
  to,
  of,
  secrets,
  again = false,
}: KeysBackupOptions): Promise<{ keys: number; secrets: string[] }> {
  const writer = await createBackup(to, { kind: 'keys', again });
  const collection = keyring.collection<Document>('data_keys');
  const indexes = await indexesOf(collection);
  const { documents } = await writer.collection(
    { database: keyring.databaseName, collection: 'data_keys', indexes },
    rawDocuments(collection),
  );
  const names =
    secrets === undefined ? [] : (await readdir(secrets, { withFileTypes: true })).filter((one) => one.isFile()).map(({ name }) => name);
  for (const name of names) await writer.file(join(SECRETS, name), [await readFile(join(secrets as string, name))]);
  await writer.finish({ of });
  return { keys: documents, secrets: names };
}

export interface KeysChecked {
  keys: number;
  destroyed: number;
  /** Key-encryption keys that wrap them. */
  kekIds: string[];
  /** Whether the key-encryption key is among the secrets, and so each key was opened. */
  opened: boolean;
}

/** A backup of keys looked at without any database. BackupFault names the file that is wrong, or a key that the key-encryption key with it does not open. */
export async function checkKeys(backup: Backup): Promise<KeysChecked> {
  await backup.check();
  const file = backup.pathOf(join(SECRETS, KEK));
  const kek = file === undefined ? undefined : await readKek({ value: await readFile(file, 'utf8') });
  const kekIds = new Set<string>();
  const done = { keys: 0, destroyed: 0 };
  for (const entry of backup.manifest.collections) {
    for await (const part of backup.parts(entry)) {
      for (const raw of part) {
        const { _id, wrapped, kek_id } = readDocument(raw).plain as DataKeyDocument;
        done.keys += 1;
        kekIds.add(kek_id);
        if (wrapped === null) done.destroyed += 1;
        else if (kek !== undefined && unwrapKey(kek.key, wrapped, _id) === undefined)
          throw new BackupFault(
            `${file} (${kek.id}) does not open the key ${_id}, which is wrapped by ${kek_id}: it is another key-encryption key, or the key is damaged`,
          );
      }
    }
  }
  return { ...done, kekIds: [...kekIds].sort(), opened: kek !== undefined };
}

/** Ids of keys that were destroyed, from lists that later backups hold. BackupFault when a line is none. */
export async function readErased(files: readonly string[]): Promise<Set<string>> {
  const erased = new Set<string>();
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      if (line.trim() === '') continue;
      const id = keyIdIn(line);
      if (id === undefined) throw new BackupFault(`${file} has a line that names no key: ${line.slice(0, 80)}`);
      erased.add(id);
    }
  }
  return erased;
}

function keyIdIn(line: string): string | undefined {
  try {
    const { key_id } = JSON.parse(line) as { key_id?: unknown };
    return typeof key_id === 'string' ? key_id : undefined;
  } catch {
    return undefined;
  }
}

/** Ids of keys that a keyring has as destroyed. */
export async function destroyedKeys(keyring: Db): Promise<Set<string>> {
  const found = keyring.collection<DataKeyDocument>('data_keys').find({ state: 'erased' }, { projection: { _id: 1 } });
  return new Set(await found.map(({ _id }) => _id).toArray());
}

/**
 * Portions of key documents as they are to be restored: a key that was destroyed since the backup was made stays destroyed. Gives to `again` how many
 * those were.
 */
export async function* keysToRestore(
  backup: Backup,
  entry: CollectionEntry,
  erased: ReadonlySet<string>,
  again: (keys: number) => void,
): AsyncGenerator<Document[]> {
  for await (const part of backup.parts(entry)) {
    const documents = part.map((raw) => readDocument(raw).stored);
    const taken = documents.filter((one) => erased.has(one._id) && one.state !== 'erased');
    for (const one of taken) Object.assign(one, { wrapped: null, state: 'erased' });
    if (taken.length > 0) again(taken.length);
    yield documents;
  }
}
