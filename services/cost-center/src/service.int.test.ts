import { randomBytes, randomUUID } from 'node:crypto';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, type RpcClient } from '@biz/rpc';
import { createLog, type RunningService } from '@biz/service';
import { engines, type TestDatabase, type TestTls, testDatabase, testTls, uniqueName } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readServiceConfig } from './config.ts';
import { startCostCenter } from './service.ts';

interface CostCenterMessage {
  id: string;
  version: number;
  status: string;
  company_id: string;
  code: string;
  parent_id?: string;
}

let database: TestDatabase;
let tls: TestTls;
let service: RunningService;
let client: RpcClient;
const company = randomUUID();

beforeAll(async () => {
  [database, tls] = await Promise.all([testDatabase('cost_center'), testTls(['cost-center', 'gateway'])]);
  const files = tls.tls('cost-center');
  const config = readServiceConfig({
    GRPC_LISTEN: '127.0.0.1:0',
    MONGODB_URL: database.url,
    MONGODB_DATABASE: database.name,
    KEYRING_DATABASE: database.name,
    KAFKA_BROKERS: engines().kafkaBrokers.join(','),
    AUDIT_TOPIC: uniqueName('audit'),
    TLS_CA_FILE: files.caFile,
    TLS_CERT_FILE: files.certFile,
    TLS_KEY_FILE: files.keyFile,
    KEK: randomBytes(32).toString('base64'),
  });
  service = await startCostCenter(config, createLog('cost-center', 'silent'));
  client = createRpcClient({
    contract: loadContract(),
    service: 'biz.cost_center.v1.CostCenterService',
    address: service.address,
    tls: tls.tls('gateway'),
  });
});
afterAll(async () => {
  client?.[Symbol.dispose]();
  await service?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
  await tls?.[Symbol.asyncDispose]();
});

function as(over: Partial<CallContext> = {}): CallContext {
  const trace_id = randomBytes(16).toString('hex');
  return {
    actor: { id: 'u1', type: 'user' },
    role: 'manager',
    roles: ['manager'],
    company_id: company,
    companies: [company],
    clients: [],
    ip: '203.0.113.9',
    traceparent: `00-${trace_id}-00f067aa0ba902b7-01`,
    trace_id,
    request_id: trace_id,
    ...over,
  };
}
const call = (method: string, request: object, context = as()) => client.call<CostCenterMessage>(method, request, context);
const create = (code: string, parent_id?: string) =>
  call('CreateCostCenter', { code, name: `Loja ${code}`, ...(parent_id && { parent_id }) });
const move = ({ id, version }: CostCenterMessage, parent_id: string) =>
  call('UpdateCostCenter', { id, expected_version: version, update_mask: { paths: ['parent_id'] }, parent_id });
const eventsOf = (id: string) =>
  database.db.collection('events').find({ 'meta.entity_id': id }).sort({ stream_id: 1, version: 1 }).toArray();

test('a cost centre from its creation to its end, each change one event with who and where from', async () => {
  const made = await create('LIFE');
  expect(made).toMatchObject({ version: 1, status: 'active', company_id: company, code: 'LIFE' });
  const { id } = made;
  const renamed = await call('UpdateCostCenter', {
    id,
    expected_version: 1,
    update_mask: { paths: ['name', 'budget_cents'] },
    name: 'B',
    budget_cents: 5,
  });
  expect(renamed).toMatchObject({ version: 2, name: 'B', budget_cents: 5 });
  expect(await call('UpdateCostCenter', { id, expected_version: 2, update_mask: { paths: ['budget_cents'] } })).not.toHaveProperty(
    'budget_cents',
  );
  await expect(call('UpdateCostCenter', { id, expected_version: 2, update_mask: { paths: [] } })).rejects.toMatchObject({
    code: 'version_mismatch',
  });
  expect(await call('DisableCostCenter', { id })).toMatchObject({ version: 4, status: 'disabled' });
  expect(await call('DisableCostCenter', { id })).toMatchObject({ version: 4 });
  expect(await call('EnableCostCenter', { id })).toMatchObject({ version: 5, status: 'active' });
  expect(await call('DeleteCostCenter', { id })).toEqual({});
  for (const method of ['GetCostCenter', 'DeleteCostCenter', 'EnableCostCenter']) {
    await expect(call(method, { id })).rejects.toMatchObject({ code: 'not_found' });
  }
  const events = await eventsOf(id);
  expect(events.map(({ version, type, meta }) => [version, type, meta.action_type])).toEqual([
    [1, 'cost_center.created', 'new'],
    [2, 'cost_center.updated', 'update'],
    [3, 'cost_center.updated', 'update'],
    [4, 'cost_center.disabled', 'disable'],
    [5, 'cost_center.enabled', 'enable'],
    [6, 'cost_center.deleted', 'delete'],
  ]);
  expect(events[0]?.meta).toMatchObject({
    owner_id: 'u1',
    owner_ip: '203.0.113.9',
    owner_role: 'manager',
    owner_type: 'user',
    company_id: company,
    ownership_id: company,
  });
});

test('a code is unique in the company, and free after a change or a deletion', async () => {
  const first = await create('CODE');
  await expect(create('CODE')).rejects.toMatchObject({ code: 'already_exists', faults: [{ path: '/code' }] });
  const other = randomUUID();
  await call('CreateCostCenter', { code: 'CODE', name: 'x' }, as({ company_id: other, companies: [other] }));
  await call('DeleteCostCenter', { id: first.id });
  expect(await create('CODE')).toMatchObject({ version: 1 });
});

describe('the tree', () => {
  test('has parents that exist in the company and are active, and keeps those that have children', async () => {
    const top = await create('TOP');
    const child = await create('CHILD', top.id);
    expect(child.parent_id).toBe(top.id);
    const foreign = randomUUID();
    const theirs = await call('CreateCostCenter', { code: 'TOP', name: 'x' }, as({ company_id: foreign, companies: [foreign] }));
    for (const parent of [theirs.id, randomUUID()]) {
      await expect(create('ORPHAN', parent)).rejects.toMatchObject({ code: 'invalid_request', faults: [{ path: '/parent_id' }] });
    }
    await expect(call('DeleteCostCenter', { id: top.id })).rejects.toMatchObject({ code: 'conflict' });
    await expect(move(top, child.id)).rejects.toMatchObject({ code: 'conflict' });
    await call('DisableCostCenter', { id: top.id });
    await expect(create('LATE', top.id)).rejects.toMatchObject({ code: 'invalid_request' });
    await call('DeleteCostCenter', { id: child.id });
    await call('DeleteCostCenter', { id: top.id });
  });

  test('gets no cycle by moves at the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      const ring = await Promise.all([0, 1, 2].map((at) => create(`RING-${round}-${at}`)));
      const moves = await Promise.allSettled(ring.map((one, at) => move(one, (ring[(at + 1) % 3] as CostCenterMessage).id)));
      expect(moves.map(({ status }) => status).sort()).toEqual(['fulfilled', 'fulfilled', 'rejected']);
      expect(moves.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'conflict' } });
    }
  });

  test('loses no parent to a deletion at the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      const top = await create(`GONE-${round}`);
      const [made, deleted] = await Promise.allSettled([create(`UNDER-${round}`, top.id), call('DeleteCostCenter', { id: top.id })]);
      expect([made.status, deleted.status].sort()).toEqual(['fulfilled', 'rejected']);
    }
  });
});

describe('lists', () => {
  test('come in pages that a token continues, with filters that the token is bound to', async () => {
    const mine = randomUUID();
    const context = as({ company_id: mine, companies: [mine] });
    const ids = [];
    for (const code of ['P1', 'P2', 'P3', 'P4', 'P5']) ids.push((await call('CreateCostCenter', { code, name: code }, context)).id);
    await call('DisableCostCenter', { id: ids[1] ?? '' }, context);
    await call('DeleteCostCenter', { id: ids[4] ?? '' }, context);
    const list = (request: object) =>
      client.call<{ items: CostCenterMessage[]; next_page_token: string }>('ListCostCenters', request, context);
    const first = await list({ page_size: 3 });
    const second = await list({ page_size: 3, page_token: first.next_page_token });
    expect([...(first.items ?? []), ...(second.items ?? [])].map(({ id }) => id)).toEqual(ids.slice(0, 4));
    expect(second.next_page_token ?? '').toBe('');
    expect((await list({ status: 'disabled' })).items.map(({ id }) => id)).toEqual([ids[1]]);
    expect((await list({ code: 'P3' })).items.map(({ id }) => id)).toEqual([ids[2]]);
    for (const page_token of [first.next_page_token, 'nonsense', Buffer.from('[{"$gt":""},"x","y"]').toString('base64url')]) {
      await expect(list({ code: 'P3', page_token })).rejects.toMatchObject({ code: 'invalid_request', faults: [{ path: '/page_token' }] });
    }
  });

  test('and reads show a company its own; the platform, the chosen or all', async () => {
    const { id } = await create('MINE');
    const other = randomUUID();
    const stranger = as({ company_id: other, companies: [other] });
    await expect(call('GetCostCenter', { id }, stranger)).rejects.toMatchObject({
      code: 'not_found',
      message: 'There is no such cost center.',
    });
    await expect(call('GetCostCenter', { id: randomUUID() })).rejects.toMatchObject({
      code: 'not_found',
      message: 'There is no such cost center.',
    });
    const request = { id, expected_version: 1, update_mask: { paths: ['name'] }, name: 'x' };
    await expect(call('UpdateCostCenter', request, stranger)).rejects.toMatchObject({ code: 'not_found' });
    const platform = as({ roles: ['auditor'], role: 'auditor', company_id: null, companies: ['*'] });
    expect((await call('GetCostCenter', { id }, platform)).id).toBe(id);
    await expect(call('GetCostCenter', { id }, { ...platform, company_id: other })).rejects.toMatchObject({ code: 'not_found' });
  });
});

test('a request with an Idempotency-Key is done once; another one with the key is refused', async () => {
  const context = as({ idempotency_key: randomUUID() });
  const body = { code: 'IDEM', name: 'x' };
  const [first, second] = await Promise.all([call('CreateCostCenter', body, context), call('CreateCostCenter', body, context)]);
  expect(second).toEqual(first);
  expect(await call('CreateCostCenter', body, context)).toEqual(first);
  await expect(call('CreateCostCenter', { ...body, name: 'y' }, context)).rejects.toMatchObject({ code: 'idempotency_conflict' });
  expect(await eventsOf(first.id)).toHaveLength(1);
});

test('people of a client do not find another client’s, nor may put anything below it', async () => {
  const bound = (client: string) => as({ clients: [client] });
  const code = () => `K${randomBytes(6).toString('hex')}`;
  const top = await call('CreateCostCenter', { code: code(), name: 'Cliente' }, bound('x'));
  expect(await call('GetCostCenter', { id: top.id }, bound('x'))).toMatchObject({ client_id: 'x' });
  await expect(call('GetCostCenter', { id: top.id }, bound('y'))).rejects.toMatchObject({ code: 'not_found', withheld: 'wrong_client' });
  for (const parent_id of [top.id, randomUUID()]) {
    const below = call('CreateCostCenter', { code: code(), name: 'Filha', parent_id }, bound('y'));
    await expect(below).rejects.toMatchObject({
      ...{ code: 'invalid_request', faults: [{ path: '/parent_id', message: 'is not a known cost centre' }] },
    });
  }
  expect(await call('CreateCostCenter', { code: code(), name: 'Filha', parent_id: top.id }, bound('x'))).toMatchObject({
    parent_id: top.id,
  });
});

/** Fault 22: line ends, ANSI, bidirectional overrides, NUL, a script, a formula. */
test.each(['a\r\nb', '\u001b[31mred\u001b[2J', 'user\u202etxt.exe\u2066', 'a\u0000b', '<script>alert(1)</script>', '=1+1'])(
  'the name %j is stored, listed and told as it is',
  async (name) => {
    const { id } = await call('CreateCostCenter', { code: `T${randomBytes(6).toString('hex')}`, name });
    expect(await call('GetCostCenter', { id })).toMatchObject({ name });
    const [event] = await eventsOf(id);
    expect(event?.data).toMatchObject({ name });
  },
);
