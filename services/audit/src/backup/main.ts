// Takes a backup of the audit and of all services while they run, and its keys apart; or checks one, without any database. Ends with 0, or 2 when it could
// not be done, 1 when a backup that was to be checked is not whole.
import { sep } from 'node:path';
import { assertRoom, BackupFault, openBackup } from '@biz/backup';
import type { MongoClient } from 'mongodb';
import { connectToRead } from '../verify/connect.ts';
import type { LogKeys } from '../verify/log-keys.ts';
import { createProgress, databasesOn, fromCaller, listOf, optionsOf, publicKey, runCommand } from './arguments.ts';
import { takeBackup } from './backup.ts';
import { checkBackup } from './check.ts';
import { checkKeys, takeKeysBackup } from './keys.ts';

const usage = `usage: npm run backup -- --to DIR [--keys-to DIR] [--again]
       npm run backup -- --keys-to DIR [--again]
       npm run backup -- --verify DIR [--expect SHA256]
  --to DIR              an empty folder, or one that is not there yet: data, sealed as it is; opens nothing without the keys
  --keys-to DIR         the keys, in a folder of their own; keep it elsewhere than the data. Without --to only they are taken
  --again               throws away a backup in these folders that was not finished
  --verify DIR          checks a backup without any database: hashes, signatures, and that the records are those that were signed; of keys, that the
                        key-encryption key that is with them opens them
  --expect SHA256       the manifest's hash, as it was printed when the backup was made
  --key KEY             who must have signed the checkpoints, as npm run verify takes it
  --origin PREFIX       what the logs are called, when the key is bare (biz-retail.local/audit)
  --mongodb-url URL     the server (or MONGODB_URL: arguments are seen by every user of a machine); --databases A,B names those to take (all but the keyring), --audit-database, --keyring-database
  --checkpoint-file F   the checkpoints kept outside the database
  --secrets-from DIR    secrets that go along with the keys: key-encryption key, seed of the checkpoints`;

const BAD = 1;
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const onProgress = createProgress((line) => console.error(line));

await runCommand(async () => {
  const given = read();
  if (given.help) {
    console.log(usage);
    return 0;
  }
  if (given.verify !== undefined) return verify(fromCaller(given.verify), given);
  const to = given.to && fromCaller(given.to);
  const keysTo = given['keys-to'] && fromCaller(given['keys-to']);
  if (!to && !keysTo) throw new Error(`--to is missing: the folder for the backup\n${usage}`);
  if (to && keysTo && (within(to, keysTo) || within(keysTo, to)))
    throw new Error(
      '--keys-to and --to are one folder, or one is in the other: whoever has both can read everything. Keep them in two places',
    );
  const url = given['mongodb-url'] ?? process.env.MONGODB_URL;
  if (!url)
    throw new Error('--mongodb-url is missing, and no fleet of this clone runs ("npm start" starts it; MONGODB_URL names another server)');
  // before the data is written, which may take long
  for (const folder of [to, keysTo]) if (folder) await assertRoom(folder, given.again);
  const client = connectToRead(url);
  try {
    await client.connect();
    const id = to ? await takeData(client, to, given) : null;
    if (keysTo) await takeKeys(client, keysTo, id, given);
    else console.log('Keys are not in it: without them what is personal stays sealed. --keys-to takes them, into a folder of their own.');
    return 0;
  } finally {
    await client.close();
  }
});

type Given = ReturnType<typeof read>;

async function verify(folder: string, given: Given): Promise<number> {
  const since = clock();
  try {
    const backup = await openBackup(folder, { digest: given.expect });
    for (const stray of await backup.strays()) console.log(`not of this backup, and not read: ${stray}`);
    if (backup.manifest.kind === 'keys') {
      const { keys, destroyed, kekIds, opened } = await checkKeys(backup);
      console.log(
        `OK: ${number(keys)} keys of ${backup.manifest.created_at}, ${number(destroyed)} of them destroyed, wrapped by the key-encryption key ${kekIds.join(', ') || '(none)'}`,
      );
      console.log(
        opened
          ? 'The key-encryption key is with them, and opens them.'
          : 'The key-encryption key is not with them: without it they open nothing.',
      );
      return 0;
    }
    const { documents, about } = await checkBackup(backup, await signedBy(given), onProgress);
    for (const { log_id, size, root } of about.logs) console.log(`${log_id}  size ${size}  root ${root}`);
    console.log(`OK: ${number(documents)} documents of ${about.cut_at}, as they were signed (${since()})`);
    return 0;
  } catch (error) {
    if (!(error instanceof BackupFault)) throw error;
    console.log(`BAD: ${error.message}`);
    return BAD;
  }
}

/** Gives the id of the backup. */
async function takeData(client: MongoClient, to: string, given: Given): Promise<string> {
  const since = clock();
  const keyringDatabase = keyringOf(given);
  const done = await takeBackup({
    ...{ client, to, keyringDatabase, keys: await signedBy(given), onProgress, again: given.again ?? false },
    auditDatabase: given['audit-database'] ?? 'audit',
    databases: listOf(given.databases) ?? (await databasesOn(client, keyringDatabase)),
    checkpointFile: given['checkpoint-file'] && fromCaller(given['checkpoint-file']),
  });
  for (const { log_id, size } of done.about.logs) console.log(`${log_id}  up to ${size}`);
  for (const gap of done.gaps) console.log(`WARNING: an event is not there: ${gap}. npm run rebuild -- --from-audit may give it back`);
  if (done.about.beyond > 0) console.log(`${done.about.beyond} records came meanwhile and are not in it`);
  console.log(`${number(done.documents)} documents, ${Math.round(done.bytes / 1e6)} MB, in ${since()}`);
  console.log(`manifest  ${done.digest}  (note it: --expect tells this backup from any other)`);
  return done.id;
}

async function takeKeys(client: MongoClient, to: string, of: string | null, given: Given): Promise<void> {
  const secrets = given['secrets-from'] && fromCaller(given['secrets-from']);
  onProgress('keys');
  const options = { keyring: client.db(keyringOf(given)), to, of, secrets, again: given.again ?? false };
  const taken = await takeKeysBackup(options).catch((cause: unknown) => {
    if (of === null) throw cause;
    throw new Error(
      `${(cause as Error).message}\nThe backup of data is whole; of the keys there is none. Take them alone: --keys-to without --to`,
      { cause },
    );
  });
  console.log(`${number(taken.keys)} keys apart${taken.secrets.length > 0 ? `, and the secrets ${taken.secrets.join(', ')}` : ''}`);
  if (taken.secrets.length === 0)
    console.log('The key-encryption key is not with them: without it they open nothing. Keep it where it is kept.');
}

function signedBy({ key, origin = 'biz-retail.local/audit' }: Given): Promise<LogKeys> {
  if (key === undefined) throw new Error(`--key is missing: the public key of the checkpoints (GET /v1/audit/verification-key)\n${usage}`);
  return publicKey(key, origin);
}

function keyringOf(given: Given): string {
  return given['keyring-database'] ?? 'keyring';
}

function within(folder: string, other: string): boolean {
  return `${other}${sep}`.startsWith(`${folder}${sep}`);
}

function number(count: number): string {
  return count.toLocaleString('en');
}

function clock(): () => string {
  const started = performance.now();
  return () => `${((performance.now() - started) / 1_000).toFixed(1)} s`;
}

function read() {
  return optionsOf(
    {
      ...{ to: text, 'keys-to': text, again: flag, verify: text, expect: text, key: text, origin: text, help: flag },
      ...{ 'mongodb-url': text, databases: text, 'audit-database': text, 'keyring-database': text },
      ...{ 'checkpoint-file': text, 'secrets-from': text },
    },
    usage,
  );
}
