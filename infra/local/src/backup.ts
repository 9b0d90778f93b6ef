// `npm run backup`: runs the audit's own backup, of the fleet of this clone while it runs, else of the server at MONGODB_URL. Options of the command line come
// after, so they win.

import { exists } from './cache.ts';
import { checkpointFile, layoutOf, verificationKeyFile } from './layout.ts';
import { mongodbUrlOf, readRunFile } from './run-file.ts';
import { auditScript, runScript } from './service-script.ts';

const args = process.argv.slice(2);
const layout = layoutOf();
const run = await readRunFile(layout.runFile);
// not among the arguments, which every user of a machine sees: a URL may hold a password
const env = run && { MONGODB_URL: mongodbUrlOf(run) };
process.exitCode = await runScript({ ...auditScript('backup/main.ts'), args: [...(await defaults()), ...args], ...(env && { env }) });

async function defaults(): Promise<string[]> {
  const databases = run && Object.values(run.services).map(({ database }) => database);
  const key = verificationKeyFile(layout);
  return [
    ...(databases ? ['--databases', databases.join(',')] : []),
    ...(run?.services.audit ? ['--audit-database', run.services.audit.database] : []),
    ...(run ? ['--secrets-from', layout.keys] : []),
    '--checkpoint-file',
    run?.checkpoint_file ?? checkpointFile(layout),
    ...((await exists(key)) ? ['--key', key] : []),
  ];
}
