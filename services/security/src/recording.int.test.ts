import { type RpcClient, serviceContext } from '@biz/rpc';
import { newId, type RunningService, traceContext } from '@biz/service';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { person, type TestFleet, testFleet } from './test-fleet.ts';

let fleet: TestFleet;
let service: RunningService & { client: RpcClient };
const recorders = new Map<string, RpcClient>();
const platform = person(['auditor', 'dpo'], ['*']);
const now = '2026-11-21T12:00:00.000Z';

beforeAll(async () => {
  fleet = await testFleet();
  service = await fleet.start();
  for (const peer of ['gateway', 'identity', 'team']) {
    recorders.set(peer, fleet.client(service.address, 'biz.security.v1.RecordingService', peer));
  }
});
afterAll(async () => {
  for (const client of [service?.client, ...recorders.values()]) client?.[Symbol.dispose]();
  for (const part of [service, fleet]) await part?.[Symbol.asyncDispose]();
});

function draft(over: object = {}) {
  const { trace_id } = traceContext();
  return { event_id: newId(), event_type: 'ACCESS_DENIED_NO_ROLE', trace_id, first_at: now, last_at: now, ...over };
}
const record = (events: object[], peer = 'gateway') =>
  (recorders.get(peer) as RpcClient).call('RecordSecurityEvents', { events }, serviceContext(peer, traceContext()));

type Item = Record<string, unknown>;
async function list(filters: object): Promise<Item[]> {
  const { items = [] } = (await service.client.call('ListSecurityEvents', filters, platform)) as { items?: Item[] };
  return items;
}
const listed = (filters: object, count: number) =>
  until(async () => ((await list(filters)).length >= count ? list(filters) : undefined), {
    what: 'the events to be listed',
    timeoutMs: 30_000,
  });

describe('events that are handed over', () => {
  it('come back as they were told, with what is personal sealed on the way', async () => {
    const told = draft({
      ...{ user_id: 'u-1', user_email: 'ana@example.com', user_agent: 'Firefox/1', company_id: 'c-1', client_id: 'k-1', user_role: 'user' },
      ...{ ip: '203.0.113.9', resource: '/v1/teams/:id', action: 'GET', request_id: 'r-7', error_message: 'no_role' },
      ...{ details: '{"asked":1}', count: 3, last_at: '2026-11-21T12:00:02.000Z' },
    });
    await record([told]);
    const [item] = await listed({ user_id: 'u-1' }, 1);
    expect(item).toMatchObject({
      ...{ event_id: told.event_id, timestamp: now, event_type: 'ACCESS_DENIED_NO_ROLE', severity: 'WARNING', success: false },
      ...{ user_email: 'ana@example.com', user_agent: 'Firefox/1', company_id: 'c-1', client_id: 'k-1', ip_address: '203.0.113.9' },
      ...{ resource: '/v1/teams/:id', action: 'GET', request_id: 'r-7', error_message: 'no_role', count: 3, trace_id: told.trace_id },
      ...{ details: '{"asked":1}', first_at: now, last_at: '2026-11-21T12:00:02.000Z' },
    });
    const [kept] = await fleet.database.db.collection('handed_over').find({ 'data.user_id': 'u-1' }).toArray();
    expect(kept).toMatchObject({ type: 'security.access_denied_no_role', producer: 'gateway_service' });
    expect(JSON.stringify(kept?.data)).not.toMatch(/ana@|Firefox/);
  });

  it('are one, however often a batch comes, and belong to nobody known when nobody is', async () => {
    const batch = Array.from({ length: 50 }, () => draft({ company_id: 'c-2' })).concat(
      draft({ user_agent: 'curl', error_message: 'nobody' }),
    );
    await Promise.all([record(batch, 'identity'), record(batch, 'identity')]);
    await record(batch, 'identity');
    expect(await listed({ company_id: 'c-2' }, 50)).toHaveLength(50);
    const stored = fleet.database.db.collection('handed_over');
    expect(await stored.countDocuments({ 'meta.ownership_id': 'c-2', producer: 'identity_service' })).toBe(50);
    expect((await stored.findOne({ 'data.error_message': 'nobody' }))?.meta).toMatchObject({
      ...{ ownership_id: 'anonymous', owner_id: 'anonymous', owner_ip: '0.0.0.0' },
    });
  });

  it('are told without what belongs to somebody who was erased', async () => {
    await record([draft({ user_id: 'u-gone', user_email: 'gone@example.com' })]);
    await fleet.database.db.collection('data_keys').updateOne({ ownership_id: 'u-gone' }, { $set: { state: 'erased', wrapped: null } });
    const restarted = await fleet.start({ CONSUMER_GROUP: `${fleet.topic}-again` });
    const client = fleet.client(restarted.address, 'biz.security.v1.RecordingService');
    const events = [
      draft({ user_id: 'u-gone', user_email: 'gone@example.com' }),
      draft({ user_id: 'u-here', user_email: 'here@example.com' }),
    ];
    await client.call('RecordSecurityEvents', { events }, serviceContext('gateway', traceContext()));
    for (const part of [client, restarted.client]) part[Symbol.dispose]();
    await restarted[Symbol.asyncDispose]();
    const stored = fleet.database.db.collection<{ _id: string; data: Item }>('handed_over');
    expect((await stored.findOne({ _id: events[0]?.event_id ?? '' }))?.data.user_email).toBeNull();
    expect((await stored.findOne({ _id: events[1]?.event_id ?? '' }))?.data.user_email).toHaveProperty('sealed');
  });

  it('are taken from the gateway and the identity service only, and only when they are of the form', async () => {
    await expect(record([draft()], 'team')).rejects.toMatchObject({ code: 'no_role' });
    const asked = (recorders.get('gateway') as RpcClient).call('RecordSecurityEvents', { events: [draft()] }, person(['admin'], ['*']));
    await expect(asked).rejects.toMatchObject({ code: 'no_role' });
    for (const wrong of [
      { event_type: 'SOMETHING' },
      { event_id: 'x' },
      { trace_id: 'x' },
      { ip: 'home' },
      { details: '{' },
      { count: -1 },
    ]) {
      await expect(record([draft(wrong)])).rejects.toMatchObject({ code: 'invalid_request' });
    }
    await expect(record([])).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(record(Array.from({ length: 501 }, () => draft()))).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
