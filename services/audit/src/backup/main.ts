// Takes a backup of the audit and of all services while they run, and its keys apart; or checks one, without any database. Ends with 0, or 2 when it could
// not be done, 1 when a backup that was to be checked is not whole.
import { BackupFault, openBackup } from '@biz/backup';
import { connectToRead } from '../verify/connect.ts';
import { createProgress, databasesOn, fromCaller, listOf, optionsOf, publicKey, runCommand } from './arguments.ts';
import { takeBackup } from './backup.ts';
import { checkBackup } from './check.ts';
import { takeKeysBackup } from './keys.ts';

const usage = `usage: npm run backup -- --to DIR [--keys-to DIR] [--again]
       npm run backup -- --verify DIR [--expect SHA256]
  --to DIR              an empty folder, or one that is not there yet: data, sealed as it is; opens nothing without the keys
  --keys-to DIR         the keys, in a folder of their own; keep it elsewhere than the data
  --again               throws away a backup in DIR that was not finished
  --verify DIR          checks a backup without any database: hashes, signatures, and that the records are those that were signed
  --expect SHA256       the manifest's hash, as it was printed when the backup was made
  --key KEY             who must have signed the checkpoints, as npm run verify takes it
  --origin PREFIX       what the logs are called, when the key is bare (biz-retail.local/audit)
  --mongodb-url URL     the server (or MONGODB_URL: arguments are seen by every user of a machine); --databases A,B names those to take (all but the keyring), --audit-database, --keyring-database
  --checkpoint-file F   the checkpoints kept outside the database
  --secrets-from DIR    secrets that go along with the keys: key-encryption key, seed of the checkpoints`;

const BAD = 1;
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

await runCommand(async () => {
  const given = optionsOf(
    {
      ...{ to: text, 'keys-to': text, again: flag, verify: text, expect: text, key: text, origin: text, help: flag },
      ...{
        'mongodb-url': text,
        databases: text,
        'audit-database': text,
        'keyring-database': text,
        'checkpoint-file': text,
        'secrets-from': text,
      },
    },
    usage,
  );
  if (given.help) {
    console.log(usage);
    return 0;
  }
  const url = given['mongodb-url'] ?? process.env.MONGODB_URL;
  if (given.verify === undefined && !url)
    throw new Error('--mongodb-url is missing, and no fleet of this clone runs ("npm start" starts it; MONGODB_URL names another server)');
  if (given.key === undefined)
    throw new Error(`--key is missing: the public key of the checkpoints (GET /v1/audit/verification-key)\n${usage}`);
  const keys = await publicKey(given.key, given.origin ?? 'biz-retail.local/audit');
  const onProgress = createProgress((line) => console.error(line));
  const started = performance.now();
  const since = () => `${((performance.now() - started) / 1_000).toFixed(1)} s`;
  if (given.verify !== undefined) {
    try {
      const backup = await openBackup(fromCaller(given.verify), { kind: 'data', digest: given.expect });
      const { documents, about } = await checkBackup(backup, keys, onProgress);
      for (const { log_id, size, root } of about.logs) console.log(`${log_id}  size ${size}  root ${root}`);
      console.log(`OK: ${documents.toLocaleString('en')} documents of ${about.cut_at}, as they were signed (${since()})`);
      return 0;
    } catch (error) {
      if (!(error instanceof BackupFault)) throw error;
      console.log(`BAD: ${error.message}`);
      return BAD;
    }
  }
  if (given.to === undefined) throw new Error(`--to is missing: the folder for the backup\n${usage}`);
  if (!url) throw new Error('--mongodb-url is missing, and no fleet of this clone runs');
  const client = connectToRead(url);
  try {
    await client.connect();
    const keyringDatabase = given['keyring-database'] ?? 'keyring';
    const done = await takeBackup({
      ...{ client, keys, keyringDatabase, onProgress, again: given.again ?? false, to: fromCaller(given.to) },
      auditDatabase: given['audit-database'] ?? 'audit',
      databases: listOf(given.databases) ?? (await databasesOn(client, keyringDatabase)),
      checkpointFile: given['checkpoint-file'] && fromCaller(given['checkpoint-file']),
    });
    for (const { log_id, size } of done.about.logs) console.log(`${log_id}  up to ${size}`);
    for (const gap of done.gaps) console.log(`WARNING: an event is not there: ${gap}. npm run rebuild -- --from-audit may give it back`);
    if (done.about.beyond > 0) console.log(`${done.about.beyond} records came meanwhile and are not in it`);
    console.log(`${done.documents.toLocaleString('en')} documents, ${Math.round(done.bytes / 1e6)} MB, in ${since()}`);
    console.log(`manifest  ${done.digest}  (note it: --expect tells this backup from any other)`);
    if (given['keys-to'] === undefined) {
      console.log('Keys are not in it: without them what is personal stays sealed. --keys-to takes them, into a folder of their own.');
    } else {
      const secrets = given['secrets-from'] && fromCaller(given['secrets-from']);
      const taken = await takeKeysBackup({
        keyring: client.db(keyringDatabase),
        to: fromCaller(given['keys-to']),
        of: done.id,
        secrets,
        again: given.again ?? false,
      });
      console.log(
        `${taken.keys.toLocaleString('en')} keys apart${taken.secrets.length > 0 ? `, and the secrets ${taken.secrets.join(', ')}` : ''}`,
      );
      if (taken.secrets.length === 0)
        console.log('The key-encryption key is not with them: without it they open nothing. Keep it where it is kept.');
    }
    return 0;
  } finally {
    await client.close();
  }
});
