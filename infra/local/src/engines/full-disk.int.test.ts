// The database's disk is full (a small tmpfs): changes are refused as unavailable, nothing is half there, and all goes on once there is room. Left out where nothing
// may be mounted.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isUnavailable, toAppError } from '@biz/errors';
import { createEventStore, type EventStore } from '@biz/eventstore';
import { until } from '@biz/testing';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cacheFolder } from '../cache.ts';
import { freePort } from '../ports.ts';
import { mongodb } from './mongodb.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
const SIZE = '160m';
/** Left free when the rest is taken. */
const LEFT_BYTES = 1024 * 1024;

const folder = await mkdtemp(join(tmpdir(), 'biz-full-'));
const mounted = mount(folder);

function mount(at: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', at], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

let port: number;
let server: ChildProcess | undefined;
let client: MongoClient;
let store: EventStore;

async function start(): Promise<void> {
  const installed = await mongodb.install({ cache: cacheFolder(), progress: () => undefined });
  const spec = await mongodb.process({ ...installed, dataDir: folder, ports: { mongodb: port } });
  server = spawn(spec.command, spec.args, { stdio: 'ignore' });
  await until(() => mongodb.answers(mongodb.address({ mongodb: port })), { timeoutMs: 120_000, what: 'the server' });
}

async function end(): Promise<void> {
  if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
  server.kill('SIGKILL');
  await once(server, 'exit');
}

/** Takes all room but a little. Not by what is free: the server writes meanwhile. */
async function fill(file: string): Promise<void> {
  await using handle = await open(file, 'w');
  const part = Buffer.alloc(LEFT_BYTES);
  try {
    for (;;) await handle.write(part);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
  await handle.truncate((await handle.stat()).size - LEFT_BYTES);
}

/** One change of an entity; gives its version. */
async function change(entityId: string): Promise<number> {
  const owner = { owner_id: 'u', owner_ip: '127.0.0.1', owner_role: 'admin', owner_type: 'user' as const };
  const trace_id = '4bf92f3577b34da6a3ce929d0e0e4736';
  const meta = {
    ...owner,
    company_id: 'a',
    client_id: null,
    ownership_id: 'a',
    environment: 'test',
    trace_id,
    traceparent: `00-${trace_id}-00f067aa0ba902b7-01`,
  };
  const { event } = await store.execute({
    entityType: 'team',
    entityId,
    decide: (entity) => ({
      type: entity ? 'team.updated' : 'team.created',
      data: { text: randomUUID().repeat(500) },
      meta: { ...meta, action_type: entity ? 'update' : 'new' },
    }),
  });
  return event?.version ?? 0;
}

describe.runIf(mounted)('a full disk', () => {
  beforeAll(async () => {
    port = await freePort();
    await start();
    client = new MongoClient(mongodb.address({ mongodb: port }), {
      writeConcern: { w: 'majority', journal: true },
      serverSelectionTimeoutMS: 2_000,
      socketTimeoutMS: 8_000,
    });
    store = createEventStore({ db: client.db('full') });
    await store.ensureIndexes();
  });
  afterAll(async () => {
    await client?.close();
    await end();
    execFileSync('umount', ['-l', folder]);
    await rm(folder, { recursive: true, force: true });
  });

  it('refuses changes, keeps every one that was acknowledged, and goes on once there is room', async () => {
    const acknowledged = new Map<string, number>();
    const ids = Array.from({ length: 5 }, () => randomUUID());
    const changeOne = async (n: number) => {
      const id = ids[n % ids.length] as string;
      acknowledged.set(id, await change(id));
    };
    for (let n = 0; n < 10; n += 1) await changeOne(n);

    const filler = join(folder, 'filler');
    await fill(filler);
    const refusals: unknown[] = [];
    for (let n = 0; refusals.length < 5; n += 1) await changeOne(n).catch((error: unknown) => refusals.push(error));
    for (const refusal of refusals) expect(isUnavailable(refusal) || toAppError(refusal).code, String(refusal)).toBe(true);

    await rm(filler);
    // A storage engine that could not write gives up for good: its server has to be started again (docs/runbooks/full-disk.md).
    await end();
    await start();
    await until(() => changeOne(0).then(() => true), { timeoutMs: 60_000, what: 'a change that is taken again' });
    for (const [id, version] of acknowledged) {
      const events = await store.events
        .find({ stream_id: `team:${id}` })
        .sort({ version: 1 })
        .toArray();
      expect(events.map((event) => event.version)).toEqual(events.map((_, at) => at + 1));
      expect(events.length).toBeGreaterThanOrEqual(version);
    }
    const { types } = await store.rebuild();
    expect(types.team?.incomplete.count).toBe(0);
    expect((await store.rebuild({ dryRun: true })).types.team).toMatchObject({ differing: { count: 0 }, missing: { count: 0 } });
  });
});
