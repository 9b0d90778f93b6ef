// `npm run restore`: a backup into the empty stores of this clone (its MongoDB is started for it, when MONGODB_URL names none), and then each service's current
// state from its events. The fleet must not run.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Backup, openBackup } from '@biz/backup';
import { bringUp, type Located, locate } from './bring-up.ts';
import { cacheFolder, exists } from './cache.ts';
import { kafka, mongodb } from './engines/index.ts';
import { databaseOf, services } from './fleet.ts';
import { checkpointFile, type Layout, layoutOf, verificationKeyFile } from './layout.ts';
import { plainProgress } from './progress.ts';
import { type AuditAbout, replayTopic } from './replay-topic.ts';
import { keepPublicKey, putSecrets } from './secrets.ts';
import { auditScript, runScript, serviceScript } from './service-script.ts';
import { createSupervisor, type Supervisor } from './supervisor.ts';
import { ensureTopics } from './topics.ts';

/** It could not be done. */
const FAILED = 2;
const SECRETS = 'secrets/';
const AUDIT = 'audit';

const layout = layoutOf();
process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  return FAILED;
});

async function main(): Promise<number> {
  const given = read(process.argv.slice(2));
  if (given.help) return runScript({ ...auditScript('backup/restore-main.ts'), args: ['--help'] });
  await using stack = new AsyncDisposableStack();
  // throws when the fleet of this clone runs
  const supervisor = stack.use(await createSupervisor({ folders: layout, say: () => undefined }));
  // both are looked at before a secret of either is taken
  const data = given.from === undefined ? undefined : await openBackup(given.from, { kind: 'data' });
  if (given.keysFrom !== undefined) await takeSecrets(await openBackup(given.keysFrom, { kind: 'keys' }));
  const server = await started(supervisor, await locate(mongodb));
  if (!given.finish) {
    const args = [...(await defaults()), ...given.passed];
    // not among the arguments, which every user of a machine sees: a URL may hold a password
    const code = await runScript({ ...auditScript('backup/restore-main.ts'), args, env: { MONGODB_URL: server.address } });
    if (code !== 0) return code;
  }
  if (data === undefined) {
    if (given.finish) throw new Error('--from is missing: the backup that was restored');
    return 0;
  }
  const databases = given.only ?? [...new Set(data.manifest.collections.map(({ database }) => database))];
  const worst = await foldEvents(server.address, databases);
  if (given.replayTopic) await replay(supervisor, data, databases);
  console.log(
    worst === 0
      ? 'Restored. Next: npm start, then npm run verify'
      : 'Restored, but not everything could be made from its events: see above',
  );
  return worst;
}

/** Consumers of the topic begin where the backup ends. */
async function replay(supervisor: Supervisor, { manifest }: Backup, databases: readonly string[]): Promise<void> {
  const { address } = await started(supervisor, await locate(kafka));
  await ensureTopics(address);
  const groups = services.filter((service) => databases.includes(databaseOf(service))).map(({ name }) => name);
  await replayTopic({
    brokers: address,
    about: manifest.about as unknown as AuditAbout,
    exact: AUDIT,
    groups,
    print: (line) => console.log(line),
  });
}

/** Options that are ours; all others go on to the audit's command. */
function read(args: string[]) {
  const { values, tokens } = parseArgs({
    args,
    strict: false,
    tokens: true,
    options: {
      from: { type: 'string' },
      'keys-from': { type: 'string' },
      only: { type: 'string' },
      'replay-topic': { type: 'boolean' },
      finish: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const replay = tokens.find((token) => token.kind === 'option' && token.name === 'replay-topic');
  const path = (value: unknown) => (typeof value === 'string' ? resolve(process.env.INIT_CWD ?? process.cwd(), value) : undefined);
  return {
    from: path(values.from),
    keysFrom: path(values['keys-from']),
    only: typeof values.only === 'string' ? values.only.split(',') : undefined,
    replayTopic: values['replay-topic'] === true,
    finish: values.finish === true,
    help: values.help === true,
    passed: replay === undefined ? args : args.toSpliced(replay.index, 1),
  };
}

async function started(supervisor: Supervisor, located: Located): Promise<Located> {
  await bringUp(located, { cache: cacheFolder(), folder: layout.folder, supervisor, progress: plainProgress(`  ${located.engine.name}`) });
  return located;
}

/** Secrets of this clone that are not there yet; when one is there and differs, none is taken, and it is an error. */
async function takeSecrets(backup: Backup): Promise<void> {
  await backup.check();
  const files = backup.manifest.files.map(({ file }) => file).filter((file) => file.startsWith(SECRETS));
  const secrets = await Promise.all(
    files.map(async (file) => ({ name: file.slice(SECRETS.length), content: await readFile(join(backup.folder, file)) })),
  );
  await putSecrets(layout.keys, secrets);
}

async function defaults(): Promise<string[]> {
  const seed = process.env.CHECKPOINT_KEY_FILE || join(layout.keys, 'checkpoint-key');
  const key = await publicKeyOf(layout, seed);
  return [...['--checkpoint-file', checkpointFile(layout), '--checkpoint-key-file', seed], ...(key ? ['--key', key] : [])];
}

async function publicKeyOf(of: Layout, seed: string): Promise<string | undefined> {
  const key = verificationKeyFile(of);
  if (await exists(key)) return key;
  if (!(await exists(seed))) return undefined;
  await keepPublicKey(seed, key);
  return key;
}

/** Each service makes its current state again, by its own code; gives the worst exit code. */
async function foldEvents(url: string, databases: readonly string[]): Promise<number> {
  let worst = 0;
  for (const service of services) {
    if (service.name === AUDIT || !databases.includes(databaseOf(service))) continue;
    const env = { MONGODB_URL: url, MONGODB_DATABASE: databaseOf(service) };
    worst = Math.max(worst, await runScript({ ...serviceScript(service.name, 'rebuild.ts'), args: [], env }));
  }
  return worst;
}
