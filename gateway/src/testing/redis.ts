import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, tool } from '@biz/local';

export type TestRedis = AsyncDisposable & {
  readonly url: string;
  /** Takes connections but answers nothing, until `resume`. */
  hang(): void;
  resume(): void;
  kill(): Promise<void>;
  /** Again on the same port, empty. */
  start(): Promise<void>;
};

/** A Redis server of Debian in memory, of this test alone; installed when it is missing and this may be done. */
export async function testRedis(): Promise<TestRedis> {
  const program = await tool('redis-server', 'test the shared rate limits', () => undefined);
  const folder = await mkdtemp(join(tmpdir(), 'redis-'));
  const port = await freePort();
  let server: ChildProcess | undefined;
  const start = async () => {
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
    server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(server, 'exit').then(() => Promise.reject(new Error('Redis did not start.')));
    ended.catch(() => undefined);
    const ready = (async () => {
      for await (const text of server?.stdout ?? []) if (String(text).includes('Ready to accept connections')) return;
    })();
    await Promise.race([ready, ended]);
    server.stdout?.resume();
  };
  const kill = async () => {
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    hang: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    kill,
    start,
    async [Symbol.asyncDispose]() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
