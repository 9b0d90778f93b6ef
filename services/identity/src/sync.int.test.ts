import { createEventStore, type EventStore } from '@biz/eventstore';
import type { JsonObject } from '@biz/json';
import { loadContract } from '@biz/protos';
import { createKeyring, type Keyring, readKek, sealFields } from '@biz/sealing';
import { newId, traceContext } from '@biz/service';
import { type TestDatabase, type TestProxy, testDatabase, testProxy, testTelemetry, until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDirectory } from './directory.ts';
import { defineEntities, storeModels } from './entities.ts';
import { createKeycloakAdmin } from './keycloak.ts';
import { type SyncOptions, startSync, syncMark } from './sync.ts';
import { createSyncQueue, type SyncQueue } from './sync-queue.ts';
import { type TestRealm, testRealm } from './test-realm.ts';

const company = newId();
let realm: TestRealm;
let proxy: TestProxy;
let database: TestDatabase;
let store: EventStore;
let keyring: Keyring;
let queue: SyncQueue;
let sync: AsyncDisposable;

beforeAll(async () => {
  [realm, database] = await Promise.all([testRealm(), testDatabase('identity')]);
  proxy = await testProxy(new URL(realm.url).host);
  const models = storeModels(defineEntities(loadContract()));
  store = createEventStore({
    db: database.db,
    entities: Object.fromEntries(models.map(({ entityType, rules }) => [entityType, rules])),
    lookups: models.flatMap(({ filters }) => filters),
    marks: [syncMark],
  });
  keyring = createKeyring({ database: database.db, kek: await readKek({ value: Buffer.alloc(32, 1).toString('base64') }) });
  queue = createSyncQueue(database.db);
  await Promise.all([store.ensureIndexes(), keyring.ensureIndexes(), queue.ensureIndexes()]);
  sync = start();
  await append('company', company, 'created', { legal_name: 'Loja', cnpj: '12345678000195', status: 'active' });
});

afterAll(async () => {
  await sync[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await Promise.all([realm[Symbol.asyncDispose](), database[Symbol.asyncDispose]()]);
});

function start(over: Partial<SyncOptions> = {}): AsyncDisposable {
  const directory = createDirectory(createKeycloakAdmin({ ...realm, url: `http://${proxy.address}` }));
  return startSync({ store, keyring, directory, queue, log: { warn: () => {} }, pollMs: 50, maxBackoffMs: 200, ...over });
}

/** Appends an event as a command of the service does, personal fields sealed. */
async function append(entityType: string, id: string, verb: string, data: JsonObject): Promise<void> {
  const personal = entityType === 'user' ? ['email', 'name'].filter((name) => name in data) : [];
  const fields = personal.map((name) => ({ path: `/${name}`, ownership_id: id }));
  const trace = traceContext();
  await store.execute({
    entityType,
    entityId: id,
    decide: async (_, next) => {
      const [sealed] = await sealFields(keyring, [{ company_id: company, event_id: next.event_id, data: { id, ...data }, fields }]);
      return {
        type: `${entityType}.${verb}`,
        data: sealed ?? {},
        meta: {
          ...{ action_type: verb === 'created' ? 'new' : 'update', company_id: company, client_id: null, ownership_id: id },
          ...{ owner_id: 'test', owner_ip: '127.0.0.1', owner_role: 'admin', owner_type: 'service', environment: 'test', ...trace },
        },
      };
    },
  });
}

async function profile(roles: string[]): Promise<string> {
  const id = newId();
  await append('profile', id, 'created', { name: id, roles, status: 'active' });
  return id;
}

let count = 0;

async function user(profileIds: string[], over: JsonObject = {}): Promise<{ id: string; username: string }> {
  count += 1;
  const id = newId();
  const username = `user-${count}`;
  const data = { username, email: `${username}@example.com`, name: 'Maria Silva', company_ids: [company], profile_ids: profileIds };
  await append('user', id, 'created', { ...data, status: 'active', ...over });
  return { id, username };
}

/** Looks first where a change is first: it may be put into the queue between the two. */
const idle = () =>
  until(async () => (await unsynced()) === 0 && (await queue.size()).waiting === 0, { what: 'Keycloak to be told', timeoutMs: 30_000 });
const unsynced = () => store.events.countDocuments({ [syncMark]: null });

async function rolesOf(username: string): Promise<string[]> {
  const { realm_access } = await realm.logIn(username, 'pw');
  const { roles = [] } = (realm_access ?? {}) as { roles?: string[] };
  return roles.filter((role) => ['admin', 'manager', 'auditor', 'dpo', 'user'].includes(role)).sort();
}

describe('a change reaches Keycloak', () => {
  it('a new user with the roles of its profiles; then what becomes of the profile and the company', async () => {
    const manager = await profile(['manager', 'user']);
    const { id, username } = await user([manager]);
    await idle();
    await realm.setPassword(username, 'pw');
    expect(await realm.logIn(username, 'pw')).toMatchObject({ user_id: id, companies: [company], email: `${username}@example.com` });
    expect(await rolesOf(username)).toEqual(['manager', 'user']);
    await append('profile', manager, 'updated', { roles: ['auditor'] });
    await idle();
    expect(await rolesOf(username)).toEqual(['auditor']);
    await append('profile', manager, 'disabled', { status: 'disabled' });
    await append('company', company, 'disabled', { status: 'disabled' });
    await idle();
    expect((await realm.logIn(username, 'pw')).companies).toBeUndefined();
    expect(await rolesOf(username)).toEqual([]);
    await append('company', company, 'enabled', { status: 'active' });
    await idle();
    expect((await realm.logIn(username, 'pw')).companies).toEqual([company]);
  });

  it('disabled, enabled, deleted', async () => {
    const { id, username } = await user([]);
    await idle();
    await realm.setPassword(username, 'pw');
    await append('user', id, 'disabled', { status: 'disabled' });
    await idle();
    expect((await realm.logIn(username, 'pw')).error).toBe('Account disabled');
    await append('user', id, 'enabled', { status: 'active' });
    await idle();
    expect((await realm.logIn(username, 'pw')).user_id).toBe(id);
    await append('user', id, 'deleted', { status: 'deleted' });
    await idle();
    expect(await realm.admin('GET', `/users?exact=true&username=${username}`)).toEqual([]);
  });

  it('an erased user is no user of Keycloak any more', async () => {
    const { id, username } = await user([]);
    await idle();
    await database.db.collection('data_keys').updateOne({ ownership_id: id }, { $set: { state: 'erased', wrapped: null } });
    keyring = createKeyring({ database: database.db, kek: await readKek({ value: Buffer.alloc(32, 1).toString('base64') }) });
    await sync[Symbol.asyncDispose]();
    sync = start();
    await queue.add([id]);
    await idle();
    expect(await realm.admin('GET', `/users?exact=true&username=${username}`)).toEqual([]);
  });
});

describe('when Keycloak', () => {
  it('is away, changes wait and arrive once it is back, also over a restart', async () => {
    await proxy.down();
    const { id, username } = await user([]);
    await until(async () => (await unsynced()) === 0, { what: 'the change to be queued', timeoutMs: 30_000 });
    await sync[Symbol.asyncDispose]();
    sync = start();
    expect((await queue.size()).waiting).toBe(1);
    await proxy.up();
    await idle();
    const [found] = await realm.admin<{ attributes: object }[]>('GET', `/users?exact=true&username=${username}`);
    expect(found?.attributes).toMatchObject({ user_id: [id] });
  });

  it('refuses a user, that one waits with the reason and the others go on; a change tries it again', async () => {
    const first = await user([]);
    await idle();
    const second = await user([], { email: `${first.username}@example.com` });
    const third = await user([]);
    const refused = await until(
      async () => {
        const state = (await queue.state([second.id])).get(second.id);
        return state?.last_error ? state : undefined;
      },
      { what: 'the refusal' },
    );
    // at once: it is tried again after some seconds
    expect(refused.due_at.getTime()).toBeGreaterThan(refused.since.getTime());
    expect(refused).toMatchObject({ attempts: 1, last_error: 'User exists with same email' });
    await until(async () => (await realm.admin<object[]>('GET', `/users?exact=true&username=${third.username}`))[0], { what: 'the third' });
    await append('user', second.id, 'updated', { email: 'other@example.com' });
    await idle();
  });

  it('lost or changed users by other hands, all are told anew in time', async () => {
    const [lost, changed] = [await user([]), await user([])];
    await idle();
    const find = async (username: string) =>
      (await realm.admin<{ id: string; enabled: boolean }[]>('GET', `/users?username=${username}&exact=true`))[0];
    await realm.admin('DELETE', `/users/${(await find(lost.username))?.id}`);
    await realm.admin('PUT', `/users/${(await find(changed.username))?.id}`, { enabled: false });
    await sync[Symbol.asyncDispose]();
    expect(await queue.resyncedWithin(60_000)).toBe(true);
    await database.db.collection('keycloak_resync').updateOne({}, { $set: { at: new Date(0) } });
    sync = start({ resyncMs: 60_000 });
    await until(async () => (await find(lost.username)) && (await find(changed.username))?.enabled, {
      what: 'both users',
      timeoutMs: 30_000,
    });
    expect(await queue.resyncedWithin(60_000)).toBe(true);
  });
});

it('what Keycloak is told is part of the trace that asked for it, also after it was away; what waits is told', async () => {
  await idle();
  await sync[Symbol.asyncDispose]();
  await using telemetry = await testTelemetry();
  await using _ = start();
  await proxy.down();
  const { id } = await user([]);
  const figures = async () => {
    const points = await telemetry.collect();
    return [points.get('biz.identity.keycloak_sync.waiting')?.[0]?.value, points.get('biz.identity.keycloak_sync.oldest')?.[0]?.value];
  };
  const oneWaits = async () => {
    const [waiting, oldest] = await figures();
    return waiting === 1 && Number(oldest) > 0;
  };
  await until(oneWaits, { what: 'one that waits' });
  const event = await store.events.findOne({ stream_id: `user:${id}` });
  expect((await queue.state([id])).get(id)).toMatchObject({ traceparent: event?.meta.traceparent });
  await proxy.up();
  await idle();
  await until(async () => (await figures()).every((figure) => figure === 0), { what: 'nothing that waits' });
  const told = telemetry.spans().filter(({ name, status }) => name === 'keycloak sync' && status.code === 0);
  expect(told.map((span) => [span.spanContext().traceId, span.parentSpanContext?.spanId])).toEqual([
    String(event?.meta.traceparent).split('-').slice(1, 3),
  ]);
  sync = start();
});
