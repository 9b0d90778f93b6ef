import { AppError } from '@biz/errors';
import { loadContract } from '@biz/protos';
import { createRpcServer } from '@biz/rpc';
import { until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { someId, type TestFleet, testFleet } from '../testing/index.ts';

let fleet: TestFleet;
let got: (Record<string, unknown> & { count: number })[] = [];
let away = false;

beforeAll(async () => {
  const env = { SECURITY_EVENTS_FOLD_MS: '50', SECURITY_EVENTS_WAITING: '20' };
  fleet = await testFleet({ processes: ['cost-center', 'client-contractor', 'security'], env });
}, 60_000);
afterAll(() => fleet[Symbol.asyncDispose]());
beforeEach(() => {
  fleet.reset();
  got = [];
  away = false;
  fleet.services.handlers.set('RecordSecurityEvents', async ({ events }) => {
    if (away) throw new AppError('unavailable', 'away');
    got.push(...events);
    return {};
  });
});

const events = (count = 1) => until(() => (got.length >= count ? got : undefined), { what: 'the events' });
const path = '/v1/cost-centers';
const userAgent = { 'user-agent': 'Agent/1' };

describe('a refusal', () => {
  it.each([
    ['no role', { realm_access: { roles: ['user'] } }, {}, 'ACCESS_DENIED_NO_ROLE', 'no_role', { company_id: 'company-a' }],
    ['no company', { companies: [] }, {}, 'ACCESS_DENIED_NO_EMPRESA', 'no_company', {}],
    [
      ...(['another company', {}, { 'x-company-id': someId }, 'ACCESS_DENIED_WRONG_EMPRESA', 'wrong_company'] as const),
      { company_id: 'company-a', details: JSON.stringify({ tried_company_id: someId }) },
    ],
  ] as const)('for %s is an event with all that is known', async (_, claims, headers, event_type, error_message, more) => {
    const mine = { email: 'ana@example.com', user_id: 'u-1', clients: ['k-1'], ...claims };
    const answer = await fleet.gateway.as(mine, 'POST', path, { body: { code: 'A', name: 'B' }, headers: { ...headers, ...userAgent } });
    const [event] = await events();
    expect(event).toMatchObject({
      ...{
        event_type,
        error_message,
        user_id: 'u-1',
        user_email: 'ana@example.com',
        client_id: 'k-1',
        ip: '127.0.0.1',
        user_agent: 'Agent/1',
      },
      ...{ resource: path, action: 'POST', count: 1, trace_id: answer.headers.get('x-trace-id'), ...more },
      request_id: answer.headers.get('x-request-id'),
    });
    expect(fleet.gateway.refusals).toHaveLength(1);
  });

  it('for a token that is over or not one is an event without it', async () => {
    await fleet.gateway.as({ exp: Math.floor(Date.now() / 1000) - 60 }, 'GET', path);
    const secret = 'eyJsecret.eyJsecret.c2VjcmV0';
    await fleet.gateway.send('GET', `${path}?q=${secret}`, { headers: { authorization: `Bearer ${secret}`, cookie: `a=${secret}` } });
    await fleet.gateway.send('GET', path);
    const found = await events(2);
    expect(found.map(({ event_type }) => event_type).sort()).toEqual(['TOKEN_EXPIRED', 'TOKEN_INVALID']);
    expect(JSON.stringify(found)).not.toContain('secret');
  });

  it('by a service is one, too; also where the caller only hears that there is no such thing', async () => {
    const other = '01890000-0000-7000-8000-00000000abcd';
    fleet.services.handlers.set('GetCostCenter', async ({ id }) => {
      throw new AppError('not_found', 'There is no such cost center.', id === someId ? { withheld: 'wrong_company' } : {});
    });
    const [foreign, absent] = [
      await fleet.gateway.as({}, 'GET', `${path}/${someId}`),
      await fleet.gateway.as({}, 'GET', `${path}/${other}`),
    ];
    const withoutTrace = (text: string) => text.replace(/"trace_id":"[^"]*"/, '');
    expect([foreign.status, withoutTrace(foreign.text)]).toEqual([404, withoutTrace(absent.text)]);
    expect([...foreign.headers.keys()].sort()).toEqual([...absent.headers.keys()].sort());
    fleet.services.handlers.set('GetCostCenter', async () => {
      throw new AppError('wrong_client', 'Not yours.');
    });
    await fleet.gateway.as({}, 'GET', `${path}/${someId}`);
    const found = await events(2);
    expect(found.map(({ event_type, resource }) => [event_type, resource])).toEqual([
      ['ACCESS_DENIED_WRONG_EMPRESA', `${path}/:id`],
      ['ACCESS_DENIED_WRONG_CLIENTE', `${path}/:id`],
    ]);
    expect(found[0]).toMatchObject({ error_message: 'wrong_company', details: JSON.stringify({ tried_id: someId }) });
    expect(fleet.gateway.refusals.map(({ code }) => code)).toEqual(['wrong_company', 'wrong_client']);
  });

  it('that comes in a flood is one event with the count', async () => {
    const send = () => fleet.gateway.as({ user_id: 'u-flood', realm_access: { roles: ['user'] } }, 'POST', path, { body: {} });
    away = true;
    await Promise.all(Array.from({ length: 100 }, send));
    away = false;
    await until(() => got.reduce((sum, { count }) => sum + count, 0) === 100, { what: 'all of them' });
    expect(got.length).toBeLessThan(10);
  });

  it('never waits for the security service; while that is away they are kept up to the bound, then counted', async () => {
    away = true;
    const send = (n: number) => fleet.gateway.as({ user_id: `u-${n}`, realm_access: { roles: ['user'] } }, 'POST', path, { body: {} });
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => send(n)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([403]));
    expect(fleet.gateway.refusals).toHaveLength(50);
    await until(() => fleet.gateway.lines.some((line) => line.includes('could not be handed over')), { what: 'the log' });
    expect(got).toEqual([]);
    away = false;
    await events(20);
    await send(1_000);
    await until(() => got.length > 20, { what: 'the next' });
    const dropped = got.map(({ details }) => JSON.parse(String(details)).dropped_before ?? 0);
    expect(dropped.reduce((sum, count) => sum + count, 0)).toBe(30);
    expect(got).toHaveLength(21);
  });
});

describe('a read of personal data', () => {
  const read = (roles: string[]) =>
    fleet.gateway.as({ user_id: 'u-1', realm_access: { roles } }, 'GET', `/v1/client-contractors/${someId}`);

  it('by somebody to whom it is opened is an event, by others and of what is not personal it is none', async () => {
    expect((await read(['user'])).status).toBe(200);
    expect((await fleet.gateway.as({}, 'GET', `${path}/${someId}`)).status).toBe(200);
    await read(['manager']);
    const [event] = await events();
    expect(event).toMatchObject({
      event_type: 'ACCESS_GRANTED',
      user_id: 'u-1',
      resource: '/v1/client-contractors/:id',
      user_role: 'manager',
    });
    expect(got).toHaveLength(1);
  });

  it('that was not answered is none', async () => {
    fleet.services.handlers.set('GetClientContractor', async () => {
      throw new AppError('not_found', 'There is no such client contractor.');
    });
    await read(['manager']);
    fleet.services.handlers.delete('GetClientContractor');
    await read(['manager']);
    expect((await events()).map(({ count }) => count)).toEqual([1]);
  });
});

it('what waits when the gateway stops is handed over before it ends', async () => {
  await using own = await testFleet({ processes: ['cost-center', 'security'], env: { SECURITY_EVENTS_FOLD_MS: '60000' } });
  const taken: object[] = [];
  own.services.handlers.set('RecordSecurityEvents', async (request) => {
    taken.push(...request.events);
    return {};
  });
  await own.gateway.as({ companies: [] }, 'GET', path);
  await own.gateway.running[Symbol.asyncDispose]();
  expect(taken).toHaveLength(1);
}, 60_000);

it('a security service that is gone, and comes back at its address, gets what happened meanwhile', async () => {
  await using own = await testFleet({ processes: ['cost-center', 'security'], env: { SECURITY_EVENTS_FOLD_MS: '20' } });
  await own.services.servers.security?.[Symbol.asyncDispose]();
  const send = (user_id: string) => own.gateway.as({ user_id, companies: [] }, 'GET', path);
  for (const user of ['u-1', 'u-2', 'u-1']) expect((await send(user)).status).toBe(403);
  await until(() => own.gateway.lines.some((line) => line.includes('could not be handed over')), { what: 'the log' });
  const taken: { user_id: string; count: number }[] = [];
  const contract = loadContract();
  const RecordSecurityEvents = async ({ events }: { events: typeof taken }) => {
    taken.push(...events);
    return {};
  };
  await using _ = await createRpcServer({
    ...{ contract, services: ['biz.security.v1.RecordingService'], handlers: { RecordSecurityEvents } },
    ...{ listen: own.services.addresses.security ?? '', tls: own.tls.tls('security'), allowedPeers: ['gateway'] },
    log: { error: () => {}, info: () => {}, debug: () => {} },
  });
  await until(() => taken.reduce((sum, { count }) => sum + count, 0) === 3, { what: 'what happened meanwhile', timeoutMs: 20_000 });
  expect(new Set(taken.map(({ user_id }) => user_id))).toEqual(new Set(['u-1', 'u-2']));
}, 60_000);
