// `npm run verify`: runs the audit's own verifier, which needs no service and no Kafka. Where things are is what the fleet of this clone says while it runs;
// options of the command line come before.
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { checkpointFile, layoutOf, repository, verificationKeyFile } from './layout.ts';
import { mongodbUrlOf, readRunFile } from './run-file.ts';

/** It could not be found out; 1 says that something is wrong with the audit. */
const FAILED = 2;

const verifier = join(repository, 'services', 'audit', 'src', 'verify', 'main.ts');
const layout = layoutOf();
const run = await readRunFile(layout.runFile);
const args = ['--conditions=source', verifier, ...(await defaults()), ...process.argv.slice(2)];
// not among the arguments: a URL may hold a password, and every user of a machine sees the arguments of all
const env = { ...process.env, ...(run && { MONGODB_URL: mongodbUrlOf(run) }) };
const child = spawn(process.execPath, args, { cwd: repository, stdio: 'inherit', env });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
process.exitCode = await new Promise<number>((resolve, reject) => {
  child.once('error', reject);
  child.once('exit', (code) => resolve(code ?? FAILED));
});

async function defaults(): Promise<string[]> {
  return [
    ...(run ? ['--database', run.services.audit?.database ?? 'audit'] : []),
    ...(await ifThere('--checkpoint', run?.checkpoint_file ?? checkpointFile(layout))),
    ...(await ifThere('--key', verificationKeyFile(layout))),
  ];
}

async function ifThere(option: string, file: string): Promise<string[]> {
  return access(file).then(
    () => [option, file],
    () => [],
  );
}
