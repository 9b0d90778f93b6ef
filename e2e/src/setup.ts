// Starts the fleet once for all end-to-end tests, as a new user would: `npm start`, with a folder and a port of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestProject } from 'vitest/node';

const repository = join(import.meta.dirname, '../..');
/** The engines may have to be built first. */
const startMs = 15 * 60_000;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'biz-e2e-'));
  const child = spawn(process.execPath, ['infra/local/bootstrap.mjs', 'start', '--port', '0'], {
    cwd: repository,
    env: { ...process.env, BIZ_LOCAL_DIR: dir, MONGODB_URL: '', KAFKA_BROKERS: '', KEYCLOAK_URL: '', SMTP_URL: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The fleet was not ready in time:\n${said.join('\n')}`)), startMs);
    child.once('exit', (code) => reject(new Error(`The fleet ended with ${code}:\n${said.join('\n')}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      said.push(line);
      if (!line.startsWith('READY ')) return;
      clearTimeout(timer);
      resolve();
    });
  });
  project.provide('localDir', dir);
  return async () => {
    child.removeAllListeners('exit');
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
    await rm(dir, { recursive: true, force: true });
  };
}
