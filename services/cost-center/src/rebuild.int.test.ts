import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { nextEventId } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { openStore } from '@biz/resource';
import { createLog } from '@biz/service';
import { type TestDatabase, testDatabase, until } from '@biz/testing';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { costCenterModel } from './rpc.ts';

const many = 2_000;
let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase('rebuild');
  const store = openStore(database.db, { models: [costCenterModel(loadContract())], log: createLog('test', 'silent') });
  await store.ensureIndexes();
  const trace_id = '4bf92f3577b34da6a3ce929d0e0e4736';
  const meta = {
    ...{
      entity_type: 'cost_center',
      action_type: 'new' as const,
      company_id: 'c-1',
      client_id: null,
      ownership_id: 'c-1',
      environment: 'test',
    },
    ...{ owner_id: 'u-1', owner_ip: '203.0.113.9', owner_role: 'manager', owner_type: 'user' as const },
    ...{ trace_id, traceparent: `00-${trace_id}-00f067aa0ba902b7-01` },
  };
  const events = Array.from({ length: many }, (_, index) => {
    const id = `cc-${String(index).padStart(5, '0')}`;
    return {
      ...{ _id: nextEventId(undefined), stream_id: `cost_center:${id}`, version: 1, type: 'cost_center.created', schema_version: '1.0' },
      ...{ data: { id, code: `C${index}`, name: 'Loja', status: 'active' }, at: '2026-11-21T12:00:00.000Z' },
      ...{ meta: { ...meta, entity_id: id }, published_at: new Date() },
    };
  });
  await store.events.insertMany(events);
});
afterAll(() => database[Symbol.asyncDispose]());

/** The service's own entry, as `npm run rebuild` and containers run it. */
function rebuild(...args: string[]) {
  const file = fileURLToPath(new URL('./rebuild.ts', import.meta.url));
  const env = { ...process.env, MONGODB_URL: database.url, MONGODB_DATABASE: database.name };
  const child = spawn(process.execPath, ['--conditions=source', file, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const said: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => said.push(text));
  return { child, closed: once(child, 'close').then(([code, signal]) => ({ code, signal, said: said.join('') })) };
}

async function bytes(): Promise<string[]> {
  const raw = (await database.db.collection('current').find({}, { raw: true }).sort({ _id: 1 }).toArray()) as unknown as Uint8Array[];
  return raw.map((one) => Buffer.from(one).toString('hex'));
}

test('killed in the middle and run again: the same bytes as in one run', { timeout: 300_000 }, async () => {
  expect(await rebuild().closed).toMatchObject({ code: 0, said: expect.stringContaining('2,000 entities compared, 2,000 written') });
  const whole = await bytes();
  expect(whole).toHaveLength(many);
  const claims = database.db.collection('claims');
  const later = await claims.find({ stream_id: { $gte: 'cost_center:cc-01000' } }, { limit: 200 }).toArray();
  await database.db.collection('current').drop();
  await claims.drop();
  // each is waited for: it cannot have ended before it is killed
  await claims.insertMany(later.map((claim) => ({ ...claim, stream_id: 'cost_center:another', claimed_at: new Date() })));
  const killed = rebuild();
  await until(async () => (await database.db.collection('current').countDocuments({}, { limit: 1 })) > 0, { what: 'the first batch' });
  killed.child.kill('SIGKILL');
  expect(await killed.closed).toMatchObject({ signal: 'SIGKILL' });
  const left = (await bytes()).length;
  expect(left).toBeLessThan(many);
  await claims.deleteMany({ stream_id: 'cost_center:another' });
  expect(await rebuild('--dry-run').closed).toMatchObject({ code: 1 });
  expect(await rebuild().closed).toMatchObject({ code: 0 });
  expect(await bytes()).toEqual(whole);
  expect(await claims.countDocuments({})).toBe(many);
  expect(await rebuild('--dry-run').closed).toMatchObject({ code: 0, said: expect.stringContaining('0 differences') });
});
