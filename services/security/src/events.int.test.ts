import { randomUUID } from 'node:crypto';
import type { CallContext, RpcClient } from '@biz/rpc';
import type { RunningService } from '@biz/service';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { person, type TestFleet, testFleet } from './test-fleet.ts';

const company_id = randomUUID();
const other = randomUUID();
const at = new Date('2026-11-20T10:00:00.000Z');
const later = (minutes: number) => new Date(at.getTime() + minutes * 60_000);

const auditor = person(['auditor'], [company_id]);
const admin = person(['admin'], [company_id]);
const platform = person(['auditor', 'dpo'], ['*']);

let fleet: TestFleet;
let service: RunningService & { client: RpcClient };

interface Page {
  items: (Record<string, unknown> & { event_id: string; event_type: string; sealed_fields?: string[]; erased_fields?: string[] })[];
  next_page_token: string;
}

const list = async (filters: object, context: CallContext = platform): Promise<Page> => {
  const { items = [], next_page_token = '' } = (await service.client.call(
    'ListSecurityEvents',
    filters,
    context,
  )) as unknown as Partial<Page>;
  return { items, next_page_token };
};
const idsOf = async (filters: object, context?: CallContext) => (await list(filters, context)).items.map(({ event_id }) => event_id);

const lines = async (filters: object, context: CallContext = platform): Promise<Record<string, unknown>[]> => {
  const pieces: Buffer[] = [];
  for await (const { data = Buffer.alloc(0) } of service.client.stream<{ data?: Buffer }>('ExportSecurityEvents', filters, context))
    pieces.push(data);
  const text = Buffer.concat(pieces).toString();
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
};

let ids: string[];

beforeAll(async () => {
  fleet = await testFleet();
  service = await fleet.start();
  ids = await fleet.publish(
    { type: 'LOGIN_FAILED', company_id, user_id: 'u-1', email: 'ana@example.com', user_agent: 'curl/8', ip: '::ffff:203.0.113.9', at },
    {
      type: 'ACCESS_DENIED_WRONG_EMPRESA',
      company_id,
      user_id: 'u-2',
      ip: '2001:DB8::7',
      at: later(1),
      count: 12,
      details: { asked: 'x' },
    },
    { type: 'ACCESS_DENIED_NO_ROLE', company_id: other, user_id: 'u-3', ip: '198.51.100.1', at: later(2) },
    { type: 'LOGIN_FAILED', email: 'nobody@example.com', ip: '203.0.113.9', at: later(3) },
  );
  await until(async () => (await list({})).items.length === 4, { what: 'the events to arrive' });
});

afterAll(async () => {
  service?.client[Symbol.dispose]();
  for (const part of [service, fleet]) await part?.[Symbol.asyncDispose]();
});

describe('what happened at the doors', () => {
  it('is listed newest first, with all its fields', async () => {
    expect(await idsOf({})).toEqual([...ids].reverse());
    const [event] = (await list({ event_type: 'ACCESS_DENIED_WRONG_EMPRESA' })).items;
    expect(event).toMatchObject({
      ...{ severity: 'CRITICAL', user_id: 'u-2', company_id, resource: '/v1/teams/{id}', action: 'GET', request_id: 'r-1' },
      ...{ timestamp: later(1).toISOString(), error_message: 'no_role', count: 12, details: '{"asked":"x"}', ip_address: '2001:DB8::7' },
    });
  });

  it('is found by every filter, and by any of them together', async () => {
    const [one, two, three, four] = ids as [string, string, string, string];
    expect(await idsOf({ user_id: 'u-1' })).toEqual([one]);
    expect(await idsOf({ company_id: other })).toEqual([three]);
    expect(await idsOf({ event_type: 'LOGIN_FAILED' })).toEqual([four, one]);
    expect(await idsOf({ event_type: 'security.login_failed' })).toEqual([four, one]);
    expect(await idsOf({ severity: 'CRITICAL' })).toEqual([two]);
    expect(await idsOf({ ip_address: '203.0.113.9' })).toEqual([four, one]);
    expect(await idsOf({ ip_address: '2001:db8:0::7' })).toEqual([two]);
    expect(await idsOf({ from: later(1).toISOString(), to: later(3).toISOString() })).toEqual([three, two]);
    expect(await idsOf({ event_type: 'LOGIN_FAILED', company_id, ip_address: '203.0.113.9' })).toEqual([one]);
    expect(await idsOf({ event_type: 'NO_SUCH_THING' })).toEqual([]);
  });

  it('is seen by companies: their own, no other, and nobody known only by the platform', async () => {
    const [one, two] = ids as [string, string];
    expect(await idsOf({}, admin)).toEqual([two, one]);
    expect(await idsOf({ company_id: other }, admin)).toEqual([]);
    expect(await idsOf({}, person(['admin'], [randomUUID()]))).toEqual([]);
    await expect(list({}, person(['manager'], [company_id]))).rejects.toMatchObject({ code: 'no_role' });
  });

  it('shows personal values to auditors and the DPO, sealed to an administrator', async () => {
    const [seen] = (await list({ user_id: 'u-1' }, auditor)).items;
    expect(seen).toMatchObject({ user_email: 'ana@example.com', user_agent: 'curl/8', ip_address: '::ffff:203.0.113.9' });
    const [sealed] = (await list({ user_id: 'u-1' }, admin)).items;
    expect(sealed).toMatchObject({ sealed_fields: ['user_email', 'ip_address', 'user_agent'] });
    expect(JSON.stringify(sealed)).not.toMatch(/ana@|curl\/8|203\.0\.113/);
  });

  it('keeps nothing personal in clear', async () => {
    const kept = JSON.stringify(await fleet.database.db.collection('security_events').find().toArray());
    expect(kept).toContain('u-1');
    expect(kept).not.toMatch(/ana@|nobody@|curl\/8|203\.0\.113|2001:db8/i);
  });

  it('comes in pages, whose tokens are bound to filters and companies', async () => {
    const first = await list({ page_size: 3 });
    const second = await list({ page_size: 3, page_token: first.next_page_token });
    expect([...first.items, ...second.items].map(({ event_id }) => event_id)).toEqual([...ids].reverse());
    expect(second.next_page_token).toBe('');
    for (const [filters, context] of [
      [{ user_id: 'u-1' }, platform],
      [{}, auditor],
    ] as const) {
      const foreign = list({ ...filters, page_token: first.next_page_token }, context);
      await expect(foreign).rejects.toMatchObject({ code: 'invalid_request', faults: [{ path: '/page_token' }] });
    }
  });
});

it('is exported as a list shows it, line by line, within the companies of the caller', async () => {
  await fleet.publish(
    ...Array.from({ length: 230 }, (_, index) => ({ type: 'LOGOUT', company_id: other, user_id: 'u-many', at: later(-index) }) as const),
  );
  await until(async () => (await list({ user_id: 'u-many', page_size: 200 })).next_page_token !== '', { what: 'the events' });
  await until(async () => (await lines({ user_id: 'u-many' })).length === 230, { what: 'all of them' });
  const seen = await lines({ user_id: 'u-many' });
  const [first] = (await list({ user_id: 'u-many', page_size: 1 })).items;
  expect(seen[0]).toMatchObject({ event_id: first?.event_id, user_id: 'u-many', ip_address: '203.0.113.9', details: {} });
  expect(new Set(seen.map(({ event_id }) => event_id)).size).toBe(230);
  expect(await lines({ user_id: 'u-many' }, admin)).toEqual([]);
  // to whom it was opened is told
  const told = async () => (await list({ event_type: 'ACCESS_GRANTED' })).items;
  await until(async () => (await told()).length > 0, { what: 'the event of the export' });
  expect((await told())[0]).toMatchObject({ resource: '/v1/security/events/export', user_id: platform.actor.id, success: true });
  const [sealed] = await lines({ user_id: 'u-1' }, admin);
  expect(sealed).toMatchObject({ user_email: { sealed: true }, ip_address: { sealed: true } });
});

it('tells people of the platform how the storages do, and nobody else', async () => {
  const states = async (context: CallContext) =>
    ((await service.client.call('ListSecurityStorages', {}, context)) as unknown as { items?: object[] }).items ?? [];
  expect(await states(platform)).toMatchObject([{ name: 'mongodb', status: 'ok', queried: true }]);
  expect(await states(auditor)).toEqual([]);
});

it('an event that comes again is one; what is no security event is left out, and holds up nothing', async () => {
  const again = { type: 'LOGOUT', event_id: randomUUID(), user_id: 'u-9', at: later(10) } as const;
  await fleet.publish(again);
  await fleet.send('nonsense{');
  await fleet.publish(again, { type: 'TOKEN_EXPIRED', user_id: 'u-9', at: later(11) });
  // in several partitions, which are read in any order
  await fleet.taken();
  expect(await idsOf({ user_id: 'u-9' })).toHaveLength(2);
});

it('an address or person whose key was destroyed is named as erased', async () => {
  const [id] = await fleet.publish({ type: 'LOGIN_SUCCESS', user_id: 'u-gone', company_id, email: 'gone@example.com', at: later(20) });
  await until(async () => (await list({ user_id: 'u-gone' })).items.length === 1, { what: 'the event' });
  const keys = fleet.database.db.collection('data_keys');
  await keys.updateOne({ ownership_id: 'u-gone' }, { $set: { state: 'erased', wrapped: null } });
  const restarted = await fleet.start({ CONSUMER_GROUP: `${fleet.topic}-again` });
  const { items } = (await restarted.client.call('ListSecurityEvents', { user_id: 'u-gone' }, platform)) as unknown as Page;
  expect(items[0]).toMatchObject({ event_id: id, erased_fields: ['user_email'], ip_address: '203.0.113.9' });
  restarted.client[Symbol.dispose]();
  await restarted[Symbol.asyncDispose]();
});
