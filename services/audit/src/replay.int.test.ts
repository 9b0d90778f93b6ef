import { type EventSource, envelopeOf, sourceOf } from '@biz/envelope';
import { parseJson } from '@biz/json';
import { loadContract } from '@biz/protos';
import { createRpcClient, type RpcClient, serviceContext } from '@biz/rpc';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

interface Message {
  events?: { record_id: string; envelope: string; erased?: string[] }[];
  position: string;
  done?: number;
  total?: number;
}

const trace = { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
const blind_indexes = { email_everywhere: 'a'.repeat(64), email: 'b'.repeat(64) };
let audit: AuditHarness;
let address: string;
const clients = new Map<string, RpcClient>();

/** Version `version` of one of three entities of a service, as it would publish it. */
function sent(service: string, version: number): { source: EventSource; key: string; value: string } {
  const [entity_type, entity_id] = [service.replace('_service', ''), `e-${version % 3}`];
  const source: EventSource = {
    _id: `01980000-0000-7000-8000-${String(version).padStart(10, '0')}${service.length}`.slice(0, 36),
    version: Math.ceil(version / 3),
    type: `${entity_type}.updated`,
    schema_version: '1.0',
    data: { id: entity_id, name: { sealed: 's1.token' }, $where: 1, big: 9007199254740991 },
    at: new Date(Date.UTC(2026, 10, 20, 9, version)).toISOString(),
    meta: {
      ...{ entity_type, entity_id, action_type: 'update', company_id: version % 2 ? 'company-a' : null, client_id: null },
      ...{ ownership_id: entity_id, owner_id: 'u-1', owner_ip: '203.0.113.9', owner_role: 'manager', owner_type: 'user' },
      ...{ ...trace, environment: 'test', ...(version % 3 === 0 && { blind_indexes }) },
    },
  };
  return { source, ...envelopeOf(source, { service, instance: 'i-1' }) };
}

const own = Array.from({ length: 30 }, (_, index) => sent('cost_center_service', index + 1));
const others = Array.from({ length: 10 }, (_, index) => sent('team_service', index + 1));

beforeAll(async () => {
  audit = await auditHarness({ partitions: 2 });
  for (let from = 0; from < own.length; from += 3) {
    // one entity stays in one partition
    await audit.send(own.slice(from, from + 2), 0);
    await audit.send([...own.slice(from + 2, from + 3), ...others.slice(from / 3, from / 3 + 1)], 1);
    await audit.send([envelope({ payload: { id: `loyalty-${from}` } })], 1);
  }
  ({ address } = await audit.start({}, { REPLAY_SPAN: '7' }));
  const contract = loadContract();
  for (const peer of ['cost-center', 'team', 'gateway']) {
    clients.set(peer, createRpcClient({ contract, service: 'biz.audit.v1.ReplayService', address, tls: audit.tls.tls(peer) }));
  }
  const size = async () => (await audit.collections.logs.find({}).toArray()).reduce((sum, log) => sum + log.size, 0);
  await until(async () => (await size()) === 50, { what: '50 records', timeoutMs: 30_000 });
});
afterAll(async () => {
  for (const client of clients.values()) client[Symbol.dispose]();
  await audit[Symbol.asyncDispose]();
});

async function replayed(peer: string, after = ''): Promise<Message[]> {
  const messages: Message[] = [];
  const request = after ? { after } : {};
  for await (const message of stream(peer, request)) messages.push(message);
  return messages;
}
const stream = (peer: string, request: object, context = serviceContext(peer, trace)) =>
  (clients.get(peer) as RpcClient).stream<Message>('ReplayEvents', request, context);
const eventsOf = (messages: readonly Message[]) => messages.flatMap(({ events = [] }) => events);
const sourcesOf = (messages: readonly Message[]) => eventsOf(messages).map((event) => sourceOf(parseJson(event.envelope)));
const text = (sources: readonly (EventSource | undefined)[]) =>
  sources.map((source) => source && JSON.stringify({ ...source, meta: { ...source.meta, traceparent: '' } })).sort();

describe('a service gets back', () => {
  it('each of its own events as it published it, and nothing else', async () => {
    expect(text(sourcesOf(await replayed('cost-center')))).toEqual(text(own.map(({ source }) => source)));
    expect(text(sourcesOf(await replayed('team')))).toEqual(text(others.map(({ source }) => source)));
    expect(eventsOf(await replayed('gateway'))).toEqual([]);
  });

  it('the newest event of each entity first, its first event last', async () => {
    const versions = new Map<string, number[]>();
    for (const source of sourcesOf(await replayed('cost-center'))) {
      const { entity_id = '' } = source?.meta ?? {};
      versions.set(entity_id, [...(versions.get(entity_id) ?? []), source?.version ?? 0]);
    }
    expect([...versions.values()]).toEqual(Array(3).fill([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]));
  });

  it('how far it is, up to all records', async () => {
    const messages = await replayed('cost-center');
    const done = messages.map((message) => message.done ?? 0);
    expect(done).toEqual(done.toSorted((left, right) => left - right));
    // replays are reads, and so recorded themselves
    expect(done.at(-1)).toBeGreaterThanOrEqual(50);
    expect(messages.at(-1)?.total).toBe(done.at(-1));
    expect(messages.length).toBeGreaterThan(50 / 7);
  });

  it('the rest from any position', async () => {
    const messages = await replayed('cost-center');
    for (const [index, { position }] of messages.entries()) {
      const rest = await replayed('cost-center', position);
      expect(eventsOf(rest)).toEqual(eventsOf(messages.slice(index + 1)));
      expect(rest.at(-1)?.done).toBe(rest.at(-1)?.total);
    }
  });
});

describe('it is refused', () => {
  it('to people, whatever their roles', async () => {
    const call = stream('gateway', {}, contextOf(['admin', 'auditor', 'dpo'], ['*']))
      [Symbol.asyncIterator]()
      .next();
    await expect(call).rejects.toMatchObject({ code: 'no_role' });
  });

  it('from a position that is none', async () => {
    const call = stream('cost-center', { after: '{"$ne":1}' })[Symbol.asyncIterator]().next();
    await expect(call).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

it('what was destroyed is left out and said to be', async () => {
  const keys = audit.keyring.db.collection('data_keys');
  const destroy = (filter: object) => keys.updateMany(filter, { $set: { state: 'erased', wrapped: null } });
  await destroy({ ownership_id: /^owner-ip:/ });
  await destroy({ ownership_id: 'e-0' });
  // another process, which has no keys at hand
  const fresh = await audit.start({}, { CONSUMER_GROUP: `${audit.name}-idle`, REPLAY_SPAN: '1000' });
  using client = createRpcClient({
    ...{ contract: loadContract(), service: 'biz.audit.v1.ReplayService', address: fresh.address, tls: audit.tls.tls('cost-center') },
  });
  const messages: Message[] = [];
  for await (const message of client.stream<Message>('ReplayEvents', {}, serviceContext('cost-center', trace))) messages.push(message);
  const events = eventsOf(messages);
  expect(events).toHaveLength(30);
  for (const event of events) {
    const source = sourceOf(parseJson(event.envelope));
    expect(JSON.parse(event.envelope).metadata).not.toHaveProperty('owner_ip');
    expect([source?.meta.owner_ip, source?.meta.blind_indexes]).toEqual(['0.0.0.0', undefined]);
    expect(event.erased).toEqual(source?.meta.entity_id === 'e-0' ? ['extra', 'owner_ip'] : ['owner_ip']);
  }
});
