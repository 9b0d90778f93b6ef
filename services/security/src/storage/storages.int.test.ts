import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@biz/service';
import { engines, type TestDatabase, type TestProxy, testDatabase, testProxy, uniqueName, until } from '@biz/testing';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBacklog } from './backlog.ts';
import { openCloudwatchStorage } from './cloudwatch.ts';
import { event } from './conformance.ts';
import { openFileStorage } from './file.ts';
import { openMongoStorage } from './mongodb.ts';
import type { AuditLogStorage, StoredEvent } from './port.ts';
import { openPostgresqlStorage } from './postgresql.ts';
import { openStorages, type Storages } from './storages.ts';

process.env.AWS_ACCESS_KEY_ID ||= 'test';
process.env.AWS_SECRET_ACCESS_KEY ||= 'test';

const log = createLog('test', 'silent');
const company_id = randomUUID();
const query = { company_ids: [company_id] };

let database: TestDatabase;
let folder: string;
let postgres: { url: string; proxy: TestProxy; drop(): Promise<void> };
let storages: Storages | undefined;

beforeEach(async () => {
  [database, folder, postgres] = await Promise.all([testDatabase('security'), mkdtemp(join(tmpdir(), 'biz-security-')), ownPostgres()]);
});

afterEach(async () => {
  await storages?.[Symbol.asyncDispose]();
  storages = undefined;
  await postgres.proxy[Symbol.asyncDispose]();
  await Promise.all([database[Symbol.asyncDispose](), rm(folder, { recursive: true }), postgres.drop()]);
});

/** A database of this test behind a way that can be cut. */
async function ownPostgres() {
  const url = new URL(engines().postgresqlUrl);
  const name = uniqueName('security').replaceAll('-', '_');
  const asked = async (text: string) => {
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    await client.query(text);
    await client.end();
  };
  await asked(`CREATE DATABASE ${name}`);
  const proxy = await testProxy(url.host);
  const cut = Object.assign(new URL(url), { host: proxy.address, pathname: `/${name}` });
  return { url: cut.href, proxy, drop: () => asked(`DROP DATABASE ${name} WITH (FORCE)`) };
}

const file = () => openFileStorage({ folder, maxBytes: 20_000 });
const postgresql = () => openPostgresqlStorage({ url: postgres.url });

async function openAll(others: Record<string, () => Promise<AuditLogStorage>>, queried = 'mongodb'): Promise<Storages> {
  storages = await openStorages({ db: database.db, others, queried, batch: 10, maxBackoffMs: 200, pollMs: 50, log });
  return storages;
}

const many = (count: number, over: Partial<StoredEvent> = {}) =>
  Array.from({ length: count }, (_, index) => event({ company_id, occurred_at: new Date(Date.now() - 60_000 + index), ...over }));

async function idsIn(storage: Pick<AuditLogStorage, 'find'>): Promise<string[]> {
  return (await storage.find(query, { size: 1_000 })).items.map(({ event_id }) => event_id).sort();
}

const idsOf = (events: readonly StoredEvent[]) => events.map(({ event_id }) => event_id).sort();
const stateOf = async (name: string) => (await storages?.states())?.find((state) => state.name === name);
const drained = (name: string) =>
  until(async () => (await stateOf(name))?.waiting === 0, { what: `${name} to have all`, timeoutMs: 30_000 });

describe('several storages at once', () => {
  it('one that is away holds up nobody, is told of, and gets all when it is back, each once', async () => {
    const { save, find } = await openAll({ file, postgresql });
    const events = many(40);
    await save(events.slice(0, 5));
    await drained('postgresql');
    await postgres.proxy.down();
    await save(events.slice(5, 25));
    await save(events.slice(20));
    await drained('file');
    await until(async () => (await stateOf('postgresql'))?.last_error === 'ECONNREFUSED', { what: 'the failure to be told' });
    expect(await stateOf('postgresql')).toMatchObject({ waiting: 35, failing_since: expect.any(Date), queried: false });
    expect(await stateOf('file')).toMatchObject({ failing_since: null, waiting: 0 });
    expect(await stateOf('mongodb')).toMatchObject({ failing_since: null, waiting: 0, queried: true });
    expect(await idsIn({ find })).toEqual(idsOf(events));
    await postgres.proxy.up();
    await drained('postgresql');
    await until(async () => (await stateOf('postgresql'))?.failing_since === null, { what: 'the recovery to be told' });
    await using there = await postgresql();
    await using files = await file();
    expect(await idsIn(there)).toEqual(idsOf(events));
    expect(await idsIn(files)).toEqual(idsOf(events));
  });

  it('what a process that ended left waiting goes on with the next one, also when it was sent already', async () => {
    const primary = await openMongoStorage(database.db, ['file']);
    const events = many(12);
    await primary.save(events);
    // sent, but killed before that was noted
    await using files = await file();
    await files.save(events.slice(0, 7));
    await openAll({ file });
    await drained('file');
    expect(await idsIn(files)).toEqual(idsOf(events));
  });

  it('what is off does not hear of it; once on again it gets what waits', async () => {
    await openAll({ file });
    await storages?.save(many(3));
    await drained('file');
    await storages?.[Symbol.asyncDispose]();
    const { save } = await openAll({});
    await save(many(1));
    expect(await storages?.states()).toHaveLength(1);
    await using files = await file();
    expect(await idsIn(files)).toHaveLength(3);
  });

  it('lists are read from the one that is chosen', async () => {
    const { save, find } = await openAll({ postgresql }, 'postgresql');
    const events = many(4);
    await save(events);
    await drained('postgresql');
    expect(await idsIn({ find })).toEqual(idsOf(events));
    await database.db.collection('security_events').deleteMany({});
    expect(await idsIn({ find })).toEqual(idsOf(events));
  });

  it('an event that one will never take is counted and told, and the others get theirs', async () => {
    const group = uniqueName('/biz/security');
    const cloudwatch = () => openCloudwatchStorage({ region: 'sa-east-1', endpoint: engines().cloudwatchEndpoint, group });
    const { save } = await openAll({ cloudwatch });
    const old = event({ company_id, occurred_at: new Date(Date.now() - 15 * 24 * 3_600_000) });
    const ahead = event({ company_id, occurred_at: new Date(Date.now() + 3 * 3_600_000) });
    const fresh = many(3);
    await save([old, ahead, ...fresh]);
    await drained('cloudwatch');
    expect(await stateOf('cloudwatch')).toMatchObject({ refused: 2, failing_since: null });
    await using there = await cloudwatch();
    expect(await idsIn(there)).toEqual(idsOf(fresh));
  });
});

describe('an anonymization', () => {
  const clear = { user_email: null, ip: null, ip_index: null, user_agent: null, anonymized: true };

  it('reaches every storage, also one that was away, and what still waited for it', async () => {
    const user_id = randomUUID();
    const { save, anonymize } = await openAll({ file, postgresql });
    await save(many(3, { user_id }));
    await drained('file');
    await drained('postgresql');
    await postgres.proxy.down();
    await save(many(2, { user_id }));
    expect(await anonymize({ user_id })).toBe(5);
    await postgres.proxy.up();
    await using there = await postgresql();
    await using files = await file();
    for (const storage of [there, files]) {
      const anonymous = async () => {
        const { items } = await storage.find(query, { size: 100 });
        return (
          items.length === 5 &&
          items.every((one) => Object.entries(clear).every(([name, value]) => one[name as keyof typeof clear] === value))
        );
      };
      await until(anonymous, { what: `${storage.name} to be anonymized`, timeoutMs: 30_000 });
    }
  });

  it('that a killed process had only noted is made by the next one, in MongoDB too', async () => {
    const user_id = randomUUID();
    const { save } = await openAll({ file });
    await save(many(3, { user_id }));
    await drained('file');
    const backlog = await openBacklog(database.db, ['file']);
    await backlog.anonymize(['mongodb', 'file'], { user_id });
    const left = () =>
      database.db.collection('anonymizations').countDocuments({ $or: [{ 'waiting.file': true }, { 'waiting.mongodb': true }] });
    await until(async () => (await left()) === 0, { what: 'it to be made' });
    await using files = await file();
    for (const find of [files.find, (await openMongoStorage(database.db)).find]) {
      expect((await find(query, { size: 9 })).items.map(({ anonymized }) => anonymized)).toEqual([true, true, true]);
    }
  });
});
