// Restores a backup into empty databases, then verifies the audit as `npm run verify` does. No service may run on them. Ends with 0, 1 when what was restored
// does not verify, 2 when it could not be done.
import { readFile } from 'node:fs/promises';
import { type Backup, openBackup } from '@biz/backup';
import { type Signer, signerOf } from '@biz/merkle';
import { MongoClient } from 'mongodb';
import { report } from '../verify/report.ts';
import type { VerifyResult } from '../verify/verify.ts';
import { type About, aboutOf } from './about.ts';
import { createProgress, fromCaller, listOf, optionsOf, publicKey, runCommand } from './arguments.ts';
import { CHECKPOINTS, ERASED } from './backup.ts';
import { readErased } from './keys.ts';
import { type RestoreResult, restoreBackup, restoreKeys } from './restore.ts';
import { assertNotAhead, beginFile, type SetAside, setAside, statementSigner } from './set-aside.ts';
import { tellOfRestore } from './tell.ts';
import { verifyRestored } from './verify-restored.ts';

const usage = `usage: npm run restore -- --from DIR [--keys-from DIR] [--only A,B] [--again]
  --from DIR            a backup of data; every file is checked before anything is written
  --keys-from DIR       its keys; alone, only keys are restored, into an empty keyring, and --erased is needed
  --only A,B            these databases of it, the others stay as they are
  --again               drops what a restore that was not finished has left, and begins anew
  --finish              (npm run restore) killed after OK: makes the services' current state, and with --replay-topic places the consumers; nothing else
  --expect SHA256       the manifest's hash, as it was printed when the backup was made
  --erased F,G          lists of destroyed keys (erased.jsonl) of later backups of data: they stay destroyed
  --set-aside           checkpoints kept outside are ahead of the backup: keep them under another name, with --by NAME and --reason TEXT
  --key KEY             who must have signed the checkpoints, as npm run verify takes it
  --replay-topic        (npm run restore) consumers read again what the topic got since the backup
  --origin PREFIX       what the logs are called, when the key is bare (biz-retail.local/audit)
  --mongodb-url URL     the server (or MONGODB_URL: arguments are seen by every user of a machine)
  --checkpoint-file F   where the audit keeps its checkpoints outside the database
  --checkpoint-key-file F   the seed that signs them; for --set-aside`;

const BAD = 1;
/** Patience with one answer of the server, in ms. */
const ANSWER_MS = 10 * 60_000;
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

await runCommand(async () => {
  const given = read();
  if (given.help) {
    console.log(usage);
    return 0;
  }
  const keys = given['keys-from'] === undefined ? undefined : await openBackup(fromCaller(given['keys-from']), { kind: 'keys' });
  await using stack = new AsyncDisposableStack();
  const client = patientClient(
    needed(given['mongodb-url'] ?? process.env.MONGODB_URL, '--mongodb-url is missing: the server to restore to'),
  );
  stack.defer(() => client.close());
  // awaited here: the client is closed at the end of this block
  return await (given.from === undefined ? restoreKeysOnly(client, keys, given) : restoreData(client, given.from, keys, given));
});

type Given = ReturnType<typeof read>;

async function restoreData(client: MongoClient, from: string, keys: Backup | undefined, given: Given): Promise<number> {
  const backup = await openBackup(fromCaller(from), { kind: 'data', digest: given.expect });
  const origin = given.origin ?? 'biz-retail.local/audit';
  const signedBy = await publicKey(needed(given.key, '--key is missing: the public key of the checkpoints'), origin);
  const about = aboutOf(backup.manifest, signedBy);
  const only = listOf(given.only);
  const hasAudit = only === undefined || only.includes(about.audit_database);
  const file = hasAudit && given['checkpoint-file'] !== undefined ? fromCaller(given['checkpoint-file']) : undefined;
  const decision = given['set-aside'] ? await decisionOf(given, origin) : undefined;
  if (file !== undefined && decision === undefined) await assertNotAhead(file, about);
  warnOfKeys(keys, about);
  const started = performance.now();
  const since = () => (performance.now() - started) / 1_000;
  let aside: SetAside | undefined;
  let verdict: VerifyResult | undefined;
  const onProgress = createProgress((line) => console.error(line));
  const result = await restoreBackup({
    ...{ client, backup, about, keys, only, erased: await erasedOf(given, backup), again: given.again ?? false },
    onProgress,
    onBegin: (databases) => console.log(`Restoring the backup of ${about.cut_at} into ${databases.join(', ')}`),
    conclude: async (done) => {
      if (!hasAudit) return true;
      const db = client.db(about.audit_database);
      if (file !== undefined && decision !== undefined) aside = await setAside({ file, about, backup: backup.manifest.id, ...decision });
      const ofBackup = backup.pathOf(CHECKPOINTS);
      if (file !== undefined && ofBackup !== undefined) await beginFile(file, ofBackup);
      onProgress('verifying what was restored');
      verdict = await verifyRestored({ db, about, keys: signedBy, files: [file, ofBackup] });
      if (!verdict.ok) return false;
      const environment = process.env.ENVIRONMENT || 'local';
      await tellOfRestore(db, { result: done, about, backup: backup.manifest.id, environment, statement: aside?.statement });
      return true;
    },
  });
  say(result, about, since(), aside);
  if (verdict === undefined) return 0;
  console.log(`\n${report(verdict, since(), 'en')}`);
  if (verdict.ok) return 0;
  console.log(
    'What was restored is not what was signed: nothing starts on it. Keep what is said above, and restore another backup with --again',
  );
  return BAD;
}

async function restoreKeysOnly(client: MongoClient, keys: Backup | undefined, given: Given): Promise<number> {
  const backup = needed(keys, `--from is missing: the folder of a backup\n${usage}`);
  needed(
    given.erased,
    '--erased is missing: without the list of destroyed keys, those that were destroyed since this backup would be back. The newest backup of data has it (erased.jsonl); when nothing was ever erased, an empty file will do',
  );
  const onProgress = createProgress((line) => console.error(line));
  const done = await restoreKeys({ client, keys: backup, erased: await erasedOf(given), again: given.again ?? false, onProgress });
  console.log(`${done.keys.toLocaleString('en')} keys restored, ${done.erasedAgain} of them destroyed again`);
  return 0;
}

async function erasedOf(given: Given, backup?: Backup): Promise<ReadonlySet<string>> {
  const lists = [backup?.pathOf(ERASED), ...(listOf(given.erased) ?? []).map(fromCaller)];
  return readErased(lists.filter((one) => one !== undefined));
}

/** Who decided to set checkpoints aside, why, and what it is signed with. */
async function decisionOf(given: Given, origin: string): Promise<{ by: string; reason: string; signer: Signer }> {
  const by = needed(given.by, '--by is missing: who decided it');
  const reason = needed(given.reason, '--reason is missing: why an older state is restored');
  const seedFile = needed(
    given['checkpoint-key-file'],
    '--checkpoint-key-file is missing: the statement is signed with the key of the checkpoints',
  );
  const seed = Buffer.from((await readFile(fromCaller(seedFile), 'utf8')).trim(), 'base64');
  return { by, reason, signer: signerOf(statementSigner(origin), seed) };
}

function warnOfKeys(keys: Backup | undefined, about: About): void {
  if (keys === undefined) {
    console.log(
      'Without --keys-from everything that is personal stays sealed. Restore the keys before any service writes: it would make others.',
    );
  } else if (keys.manifest.created_at < about.cut_at) {
    console.log(
      `WARNING: the keys are of ${keys.manifest.created_at}, the data of ${about.cut_at}: what was sealed with newer keys stays sealed for ever.`,
    );
  }
}

function say(result: RestoreResult, about: About, seconds: number, aside: SetAside | undefined): void {
  const rate = Math.round(result.documents / Math.max(seconds, 0.001));
  console.log(
    `Restored ${result.documents.toLocaleString('en')} documents of ${about.cut_at} in ${seconds.toFixed(1)} s (${rate.toLocaleString('en')}/s): ${result.databases.join(', ')}`,
  );
  if (result.keys > 0)
    console.log(`${result.keys.toLocaleString('en')} keys, ${result.erasedAgain} of them destroyed again: erasures hold`);
  if (aside !== undefined)
    console.log(`Checkpoints of what was not restored are kept in ${aside.file}; why, signed: ${aside.statementFile}`);
  if (result.records > 0) {
    console.log(
      'If the topic outlived the databases, its consumers go on from here (older is safe, for what comes twice is recorded once):',
    );
    for (const { log_id, next_offset } of about.logs) console.log(`  ${log_id}  offset ${next_offset}`);
  }
  const others = result.databases.filter((name) => name !== about.audit_database);
  if (others.length > 0) console.log(`Next: npm run rebuild for ${others.join(', ')}: their current state is made from their events`);
}

function needed<T>(value: T | undefined, text: string): T {
  if (value === undefined || value === '') throw new Error(text);
  return value;
}

/** Writes are durable when they are acknowledged. */
function patientClient(url: string): MongoClient {
  return new MongoClient(url, {
    appName: 'restore',
    maxPoolSize: 10,
    writeConcern: { w: 'majority', j: true },
    serverSelectionTimeoutMS: 5_000,
    socketTimeoutMS: ANSWER_MS,
  });
}

function read() {
  return optionsOf(
    {
      ...{ from: text, 'keys-from': text, only: text, again: flag, expect: text, erased: text, key: text, origin: text, help: flag },
      ...{ 'mongodb-url': text, 'checkpoint-file': text, 'checkpoint-key-file': text, 'set-aside': flag, by: text, reason: text },
    },
    usage,
  );
}
