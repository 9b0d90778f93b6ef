import { randomUUID } from 'node:crypto';
import { createEventStore, createRelay, type EventDocument, type EventStore } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { createRpcClient, createRpcServer, type RpcServer, serviceContext } from '@biz/rpc';
import { type TestDatabase, type TestTls, testDatabase, testTls, until } from '@biz/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createReconciliationClient,
  type HeadBatch,
  type ReconciliationClient,
  reconciliationHandlers,
  reconciliationService,
} from './index.ts';

const contract = loadContract();
const trace = { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
let database: TestDatabase;
let tls: TestTls;
let store: EventStore;
let server: RpcServer;
let audit: ReconciliationClient;

beforeAll(async () => {
  [database, tls] = await Promise.all([testDatabase('reconciliation'), testTls(['team', 'audit', 'gateway'])]);
  store = createEventStore({ db: database.db });
  await store.ensureIndexes();
  const source = { events: store.events, producer_service: 'team_service', entity_types: ['team'], keeps_events: true };
  server = await createRpcServer({
    ...{ contract, services: [reconciliationService], handlers: reconciliationHandlers(source) },
    ...{ listen: '127.0.0.1:0', tls: tls.tls('team') },
    log: { error: () => undefined, info: () => undefined, debug: () => undefined },
  });
  audit = createReconciliationClient({
    ...{ contract, process: 'team', address: server.address, tls: tls.tls('audit') },
    caller: () => serviceContext('audit', trace),
  });
});
afterAll(async () => {
  audit?.[Symbol.dispose]();
  await server?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
  await tls?.[Symbol.asyncDispose]();
});

/** Changes an entity so many times, and gives the events' ids. */
async function changes(entityId: string, times: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 1; n <= times; n += 1) {
    const { event } = await store.execute({ entityType: 'team', entityId, decide: () => draft(n) });
    ids.push((event as EventDocument)._id);
  }
  return ids;
}

function draft(n: number) {
  const owner = { owner_id: 'u1', owner_ip: '203.0.113.9', owner_role: 'manager', owner_type: 'user' as const, ownership_id: 'c1' };
  const action_type = n === 1 ? ('new' as const) : ('update' as const);
  return {
    type: 'team.changed',
    data: { n },
    meta: { ...owner, ...trace, action_type, company_id: 'c1', client_id: null, environment: 'test' },
  };
}

const publish = (ids: string[], at: Date) => store.events.updateMany({ _id: { $in: ids } }, { $set: { published_at: at } });

async function heads(request: { since?: string; graceMs: number } = { graceMs: 0 }): Promise<HeadBatch['heads']> {
  const found = [];
  for await (const batch of audit.heads(request)) found.push(...batch.heads);
  return found;
}

test('the store is described', async () => {
  expect(await audit.describe()).toEqual({ producer_service: 'team_service', entity_types: ['team'], keeps_events: true });
});

test('heads tell what is settled; the grace counts from publication', async () => {
  const [a, b] = [randomUUID(), randomUUID()];
  const [first = '', second = ''] = await changes(a, 2);
  const [waiting = ''] = await changes(b, 1);
  await publish([first, second], new Date(Date.now() - 60_000));
  const of = async (graceMs: number) => new Map((await heads({ graceMs })).map((head) => [head.entity_id, head]));
  expect((await of(30_000)).get(a)).toMatchObject({ version: 2, company_id: 'c1', settled_version: 2, settled_event_id: second });
  expect((await of(90_000)).get(a)).toMatchObject({ version: 2, published: true, settled_version: 0, settled_event_id: '' });
  expect((await of(0)).get(b)).toMatchObject({ version: 1, published: false, settled_version: 0, last_event_id: waiting });
});

test('heads since a time are those of what changed then', async () => {
  const [old, recent] = [randomUUID(), randomUUID()];
  await changes(old, 1);
  const made = Date.now();
  await until(() => Date.now() > made, { what: 'the next millisecond, since ids tell milliseconds', intervalMs: 1 });
  const since = new Date().toISOString();
  await changes(recent, 3);
  const found = (await heads({ since, graceMs: 0 })).map(({ entity_id, version }) => [entity_id, version]);
  expect(found).toEqual([[recent, 3]]);
});

test('events of an entity come in order of version, in pages', async () => {
  const id = randomUUID();
  const ids = await changes(id, 3);
  await publish(ids.slice(0, 2), new Date(Date.now() - 1_000));
  const events = (afterVersion: number) => audit.entityEvents({ entityType: 'team', entityId: id, afterVersion, graceMs: 500 });
  expect(await events(0)).toEqual(ids.map((event_id, at) => ({ event_id, version: at + 1, settled: at < 2 })));
  expect((await events(2)).map(({ version }) => version)).toEqual([3]);
  expect(await audit.entityEvents({ entityType: 'team', entityId: 'nobody', afterVersion: 0, graceMs: 0 })).toEqual([]);
});

test('events published again go out again, those only, as often as it is asked', async () => {
  const ids = await changes(randomUUID(), 3);
  await publish(
    (await store.events.find().toArray()).map(({ _id }) => _id),
    new Date(),
  );
  const sent: string[] = [];
  const deliver = async (batch: EventDocument[]) => void sent.push(...batch.map(({ _id }) => _id));
  await using _relay = createRelay({ store, mark: 'published_at', deliver, pollMs: 20 });
  const asked = [ids[1] as string, randomUUID()];
  for (const times of [1, 2]) {
    expect([...(await audit.republish(asked))]).toEqual([ids[1]]);
    await until(() => sent.length === times, { what: 'the relay to send it again' });
  }
  expect(sent).toEqual([ids[1], ids[1]]);
  expect(await audit.findEvents(asked)).toEqual(new Set([ids[1]]));
});

test('nobody but the audit may ask, people least of all', async () => {
  const as = (peer: string) =>
    createRpcClient({ contract, service: reconciliationService, process: 'team', address: server.address, tls: tls.tls(peer) });
  using gateway = as('gateway');
  const methods = ['DescribeStore', 'ListEntityEvents', 'FindEvents', 'RepublishEvents'];
  for (const method of methods) {
    const request = { entity_type: 'team', entity_id: 'x', event_ids: ['x'] };
    await expect(gateway.call(method, request, serviceContext('audit', trace))).rejects.toMatchObject({ code: 'no_role' });
  }
  const stream = async () => {
    for await (const _ of gateway.stream('ListHeads', {}, serviceContext('audit', trace)));
  };
  await expect(stream()).rejects.toMatchObject({ code: 'no_role' });
  using own = as('audit');
  const person = serviceContext('audit', trace, { actor: { id: 'u1', type: 'user' }, roles: ['admin', 'auditor', 'dpo'] });
  await expect(own.call('FindEvents', { event_ids: ['x'] }, person)).rejects.toMatchObject({ code: 'no_role' });
});

test('a client that means another process than the one at the address is told so', async () => {
  using other = createReconciliationClient({
    ...{ contract, process: 'cost-center', address: server.address, tls: tls.tls('audit') },
    caller: () => serviceContext('audit', trace),
  });
  await expect(other.describe()).rejects.toMatchObject({ code: 'unavailable' });
});
