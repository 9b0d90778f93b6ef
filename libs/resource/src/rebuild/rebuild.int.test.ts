import { fileURLToPath } from 'node:url';
import { envelopeOf } from '@biz/envelope';
import { AppError } from '@biz/errors';
import type { EventDocument, EventStore } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { createRpcServer } from '@biz/rpc';
import { assertRestored, createLog, type RestoreNote } from '@biz/service';
import { type TestDatabase, type TestTls, testDatabase, testTls } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { EntityState } from '../commands.ts';
import { standardDecision } from '../commands.ts';
import { defineResource } from '../definition.ts';
import { openStore } from '../store.ts';
import { rebuildService } from './command.ts';

interface Note extends EntityState {
  name: string;
}

const contract = loadContract({ dirs: [fileURLToPath(new URL('../test-protos', import.meta.url))] });
const model = defineResource<Note>({
  contract,
  service: 'biz.note.v1.NoteService',
  entity: 'Note',
  decide: standardDecision<Note>,
  lookups: { tag: () => [] },
});
const log = createLog('note', 'silent');
let database: TestDatabase;
let tls: TestTls;
let store: EventStore;
beforeAll(async () => {
  [database, tls] = await Promise.all([testDatabase('rebuild'), testTls(['note', 'audit'])]);
  store = openStore(database.db, { models: [model], log });
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await tls[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await database.db.dropDatabase();
  await store.ensureIndexes();
  for (const id of ['n-1', 'n-2', 'n-3']) await write(id, { name: 'Ana' });
  await write('n-1', { name: 'Bia' });
  await store.events.updateMany({}, { $set: { published_at: new Date() } });
});

function write(id: string, data: { name: string }) {
  const trace = { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  const meta = {
    ...{ action_type: 'update' as const, company_id: 'c-1', client_id: null, ownership_id: 'c-1', environment: 'test', ...trace },
    ...{ owner_id: 'u-1', owner_ip: '203.0.113.9', owner_role: 'manager', owner_type: 'user' as const },
  };
  return store.execute({ entityType: 'note', entityId: id, decide: () => ({ type: 'note.written', data: { id, ...data }, meta }) });
}

async function run(args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; said: string }> {
  const said: string[] = [];
  const own = { MONGODB_URL: database.url, MONGODB_DATABASE: database.name };
  const code = await rebuildService({ name: 'note', contract, models: [model] }, args, { ...own, ...env }, (line) => {
    if (!line.startsWith('… ')) said.push(line); // of one that takes long
  });
  return { code, said: said.join('\n').replaceAll(/\d+\.\d s/g, '0 s') };
}
async function bytes(): Promise<string[]> {
  const raw = (await store.current.find({}, { raw: true }).sort({ _id: 1 }).toArray()) as unknown as Uint8Array[];
  return raw.map((one) => Buffer.from(one).toString('hex'));
}

test('a dry run tells what differs and ends with 1, a run makes it right and ends with 0', async () => {
  const before = await bytes();
  await store.current.deleteOne({ _id: 'n-1' });
  await store.current.updateOne({ _id: 'n-2' }, { $set: { 'state.name': 'x' } });
  expect(await run(['--dry-run'])).toEqual({
    code: 1,
    said: [
      'note: 3 compared, 1 differ, 1 missing, 0 extra',
      '  differ: n-2',
      '  missing: n-1',
      'note: 3 entities compared, 2 differences; nothing was changed (0 s)',
    ].join('\n'),
  });
  expect(await bytes()).not.toEqual(before);
  expect(await run([])).toMatchObject({ code: 0, said: expect.stringContaining('3 entities compared, 2 written, 0 removed, 0 left') });
  expect(await bytes()).toEqual(before);
  expect(await run(['--dry-run'])).toMatchObject({ code: 0, said: expect.stringContaining('3 entities compared, 0 differences') });
});

test('what cannot be made right is named, and ends with 1', async () => {
  await write('n-1', { name: 'Cris' });
  await store.events.deleteOne({ stream_id: 'note:n-1', version: 2 });
  const { code, said } = await run([]);
  expect([code, said]).toEqual([1, expect.stringContaining('cannot be folded, left as they are: n-1')]);
});

test('half of a restore is not folded; once its documents are in, the fold ends it', async () => {
  const restores = database.db.collection<RestoreNote>('restores');
  await restores.insertOne({ _id: 'r', backup: 'b', databases: [database.name], began_at: new Date(), documents_at: null, ended_at: null });
  expect(await run([])).toMatchObject({ code: 2, said: expect.stringContaining('run it again with --again') });
  await restores.updateOne({}, { $set: { documents_at: new Date() } });
  expect((await run(['--dry-run'])).code).toBe(0);
  await expect(assertRestored(database.db)).rejects.toThrow('--finish');
  expect((await run([])).code).toBe(0);
  await assertRestored(database.db);
});

test.each([
  ['an unknown option', ['--force'], {}, /Unknown option '--force'[\s\S]*--dry-run/],
  ['no database', [], { MONGODB_URL: '' }, /MONGODB_URL/],
  ['a database that is away', [], { MONGODB_URL: 'mongodb://127.0.0.1:1' }, /ECONNREFUSED/],
  ['no audit to ask', ['--from-audit'], { TLS_CA_FILE: 'x', TLS_CERT_FILE: 'x', TLS_KEY_FILE: 'x' }, /address of audit/],
])('%s is said, and ends with 2', async (_, args, env, what) => {
  const { code, said } = await run(args, env);
  expect([code, said]).toEqual([2, expect.stringMatching(what)]);
});

/** An audit that has these events, one a message, and breaks off after each `every`. */
async function audit(events: readonly EventDocument[], every = Number.POSITIVE_INFINITY) {
  const asked: string[] = [];
  const messages = events.toReversed().map((event, index) => ({
    events: [{ envelope: envelopeOf(event, { service: 'note_service', instance: 'i' }).value }],
    position: `audit-0.${String(events.length - 1 - index).padStart(12, '0')}`,
    ...{ done: index + 1, total: events.length },
  }));
  const server = await createRpcServer({
    contract: loadContract(),
    services: ['biz.audit.v1.ReplayService'],
    handlers: {
      ReplayEvents: async function* ({ after = '' }: { after?: string }) {
        asked.push(after);
        const from = messages.findIndex(({ position }) => position === after) + 1;
        for (const [index, message] of messages.slice(from).entries()) {
          if (index === every) throw new AppError('unavailable', 'broken off');
          yield message;
        }
      },
    },
    listen: '127.0.0.1:0',
    tls: tls.tls('audit'),
    log,
  });
  const { caFile, certFile, keyFile } = tls.tls('note');
  const env = { TLS_CA_FILE: caFile, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, SERVICE_ADDRESSES: `audit=${server.address}` };
  return { env, asked, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
const stored = () => store.events.find({}).sort({ _id: 1 }).toArray();

test('from the audit: everything destroyed is there again, also when the audit breaks off in between', async () => {
  const [before, events] = [await bytes(), await stored()];
  await database.db.dropDatabase();
  await using there = await audit(events, 1);
  expect((await run(['--from-audit', '--dry-run'], there.env)).code).toBe(1);
  expect([await bytes(), await stored()]).toEqual([[], []]);
  there.asked.length = 0;
  const { code, said } = await run(['--from-audit'], there.env);
  expect([code, said]).toEqual([0, expect.stringContaining('4 events inserted, 3 entities compared, 3 written, 0 removed, 0 left')]);
  expect(there.asked).toEqual(['', ...[3, 2, 1].map((leaf) => `audit-0.00000000000${leaf}`)]);
  expect(await bytes()).toEqual(before);
  expect((await stored()).map(({ _id, version, data }) => [_id, version, data])).toEqual(
    events.map(({ _id, version, data }) => [_id, version, data]),
  );
  expect(await store.events.indexExists('stream_id_1_version_1')).toBe(true);
  expect(await run(['--from-audit', '--dry-run'], there.env)).toMatchObject({ code: 0, said: expect.stringContaining('0 differences') });
});

test('from the audit: an event that differs is named and left, the rest is made right', async () => {
  const events = await stored();
  await store.events.updateOne({ _id: events[0]?._id ?? '' }, { $set: { 'data.name': 'tampered' } });
  await store.events.deleteOne({ _id: events[1]?._id ?? '' });
  await using there = await audit(events);
  const { code, said } = await run(['--from-audit'], there.env);
  expect([code, said]).toEqual([1, expect.stringContaining(`differ, left as they are: ${events[0]?._id}`)]);
  expect(await store.events.countDocuments({})).toBe(4);
  expect((await store.events.findOne({ _id: events[0]?._id ?? '' }))?.data.name).toBe('tampered');
});

test('from an audit that stays away: 2, and nothing was changed', async () => {
  const there = await audit([]);
  await there[Symbol.asyncDispose]();
  const before = await stored();
  expect(await run(['--from-audit'], there.env)).toMatchObject({ code: 2, said: expect.stringContaining('could not be rebuilt') });
  expect(await stored()).toEqual(before);
});
