// `npm run rebuild`: runs a service's own `src/rebuild.ts` with the environment that the service has in the fleet of this clone. The fleet may run, or
// only the engines do (MONGODB_URL then says where); no service is imported here.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { tlsFolder } from '@biz/pki';
import { databaseOf, services } from './fleet.ts';
import { layoutOf, repository } from './layout.ts';
import { mongodbUrlOf, readRunFile } from './run-file.ts';

/** It could not be done; 1 says that something differs. */
const FAILED = 2;
/** The audit is what the others are made again from. */
const rebuilt = services.filter(({ name }) => name !== 'audit');

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  return FAILED;
});

async function main(): Promise<number> {
  const { service: name, rest } = read(process.argv.slice(2));
  const service = rebuilt.find((one) => one.name === name);
  if (service === undefined) {
    throw new Error(
      `--service names what is to be rebuilt: ${rebuilt.map((one) => one.name).join(', ')}${name === 'audit' ? ' (the audit is the original)' : ''}`,
    );
  }
  const folder = join(repository, 'services', service.name);
  const args = ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', join(folder, 'src', 'rebuild.ts'), ...rest];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: 'inherit', env: { ...process.env, ...(await environment(service)) } });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? FAILED));
  });
}

function read(args: string[]): { service: string | undefined; rest: string[] } {
  const options = { service: { type: 'string' }, 'dry-run': { type: 'boolean' }, 'from-audit': { type: 'boolean' } } as const;
  try {
    const { values } = parseArgs({ args, options });
    const rest = (['dry-run', 'from-audit'] as const).filter((name) => values[name]).map((name) => `--${name}`);
    return { service: values.service, rest };
  } catch (error) {
    throw new Error(`${(error as Error).message}\nusage: npm run rebuild -- --service <name> [--dry-run] [--from-audit]`);
  }
}

/** Where things are: by the run file of the fleet, else as the environment says. */
async function environment(service: (typeof services)[number]): Promise<NodeJS.ProcessEnv> {
  const layout = layoutOf();
  const run = await readRunFile(layout.runFile);
  const database = { MONGODB_DATABASE: run?.services[service.name]?.database ?? (process.env.MONGODB_DATABASE || databaseOf(service)) };
  if (run === undefined) {
    if (!process.env.MONGODB_URL) {
      throw new Error(
        `The fleet of this clone does not run (${layout.folder}); "npm start" starts it. Without it, MONGODB_URL says where the service's database is.`,
      );
    }
    return database;
  }
  const { caFile, certFile, keyFile } = (await tlsFolder(layout.tls, [service.name])).tls(service.name);
  return {
    ...database,
    MONGODB_URL: mongodbUrlOf(run),
    TLS_CA_FILE: caFile,
    TLS_CERT_FILE: certFile,
    TLS_KEY_FILE: keyFile,
    SERVICE_ADDRESSES: Object.entries(run.services)
      .map(([name, { grpc }]) => `${name}=${grpc}`)
      .join(','),
  };
}
