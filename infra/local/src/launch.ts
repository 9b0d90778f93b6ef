import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repository } from './layout.ts';
import { type RunFile, readRunFile } from './run-file.ts';

/** The engines may have to be built first. */
const LONGEST_START_MS = 15 * 60_000;

/** Engines of other tests are not for the fleet, and it has no business with their secrets. */
const elsewhere = Object.fromEntries(
  [
    ...['MONGODB_URL', 'KAFKA_BROKERS', 'KEYCLOAK_URL', 'SMTP_URL', 'ELASTICSEARCH_URL', 'POSTGRESQL_URL', 'OTEL_EXPORTER_OTLP_ENDPOINT'],
    ...['KEYCLOAK_ADMIN', 'KEYCLOAK_ADMIN_PASSWORD', 'KEYCLOAK_CLIENT_SECRET'],
  ].map((name) => [name, '']),
);

/**
 * Starts a fleet as a new user would, with `npm start`, in a temporary folder and on free ports, with engines of its own. Disposing it ends
 * the fleet and removes the folder. Throws with all that was said when it does not get ready.
 */
export async function launchFleet({ args = [], env = {} }: LaunchOptions = {}): Promise<LaunchedFleet> {
  const folder = await mkdtemp(join(tmpdir(), 'biz-fleet-'));
  const started = Date.now();
  const child = spawn(process.execPath, ['infra/local/bootstrap.mjs', 'start', '--port', '0', ...args], {
    cwd: repository,
    env: { ...process.env, ...elsewhere, ...env, BIZ_LOCAL_DIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  const failed = (what: string) => new Error(`${what}:\n${said.join('\n')}`);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(failed('The fleet was not ready in time')), LONGEST_START_MS);
    child.once('exit', (code) => reject(failed(`The fleet ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      said.push(line);
      if (!line.startsWith('READY ')) return;
      clearTimeout(timer);
      resolve();
    });
  });
  return {
    folder,
    startedInMs: Date.now() - started,
    said,
    async run() {
      const run = await readRunFile(join(folder, 'run.json'));
      if (!run) throw failed('The fleet has no run.json');
      return run;
    },
    async [Symbol.asyncDispose]() {
      child.removeAllListeners('exit');
      if (child.exitCode === null) {
        const exited = once(child, 'exit');
        child.kill('SIGTERM');
        await exited;
      }
      // what an engine left behind may write for a moment more
      await rm(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

export interface LaunchOptions {
  /** Further options of `npm start`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface LaunchedFleet extends AsyncDisposable {
  /** Holds data, logs and `run.json`. */
  readonly folder: string;
  readonly startedInMs: number;
  /** Lines printed so far. */
  readonly said: readonly string[];
  /** `run.json` as it is now. */
  run(): Promise<RunFile>;
}
