import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openFileStorage } from './storage/file.ts';
import { openMongoStorage } from './storage/mongodb.ts';
import { type TestFleet, testFleet } from './test-fleet.ts';

let fleet: TestFleet;
let folder: string;
let child: ChildProcess | undefined;

beforeAll(async () => {
  [fleet, folder] = await Promise.all([testFleet(), mkdtemp(join(tmpdir(), 'biz-security-'))]);
});

afterAll(async () => {
  child?.kill('SIGKILL');
  await fleet?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function start(): Promise<void> {
  const args = ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', fileURLToPath(new URL('main.ts', import.meta.url))];
  const own = {
    SECURITY_STORAGES: 'file',
    SECURITY_FILE_FOLDER: folder,
    SECURITY_FILE_MAX_BYTES: '20000',
    FORWARD_BATCH: '7',
    BATCH_RECORDS: '11',
  };
  const env = { ...process.env, ...fleet.environment, ...own, LOG_LEVEL: 'error' };
  child = spawn(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await once(child, 'message');
}

async function kill(signal: NodeJS.Signals): Promise<number | null> {
  const ended = once(child as ChildProcess, 'exit');
  child?.kill(signal);
  const [code] = (await ended) as [number | null];
  return code;
}

it('a process killed at any moment loses no event, and keeps none twice, in any storage', { timeout: 240_000 }, async () => {
  await start();
  const ids: string[] = [];
  const more = async (count: number) => {
    ids.push(...(await fleet.publish(...Array.from({ length: count }, () => ({ type: 'LOGIN_FAILED', user_id: 'u-1' }) as const))));
  };
  const waiting = { 'waiting.file': true };
  const kept = () => fleet.database.db.collection('security_events').countDocuments();
  for (const round of [1, 2]) {
    const before = await kept();
    await more(60);
    // in the midst of taking, at another place each time
    await until(async () => (await kept()) > before + 11 * round, { what: 'some to be kept', timeoutMs: 60_000 });
    await kill('SIGKILL');
    await start();
  }
  await until(async () => (await kept()) === ids.length, { what: 'all to be kept', timeoutMs: 60_000 });
  await until(async () => (await fleet.database.db.collection('security_events').countDocuments(waiting)) === 0, {
    what: 'the file',
    timeoutMs: 60_000,
  });
  expect(await kill('SIGTERM')).toBe(0);
  await using file = await openFileStorage({ folder, maxBytes: 1e6 });
  for (const storage of [file, await openMongoStorage(fleet.database.db)]) {
    const { items } = await storage.find({ user_id: 'u-1' }, { size: 1_000 });
    expect(items.map(({ event_id }) => event_id).sort()).toEqual([...ids].sort());
  }
});
