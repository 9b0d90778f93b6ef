import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { someId, type TestFleet, type TestGateway, testFleet, testGateway } from '../testing/index.ts';

let fleet: TestFleet;
const path = `/v1/cost-centers/${someId}`;
const gateways: TestGateway[] = [];

beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center'] });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway[Symbol.asyncDispose]();
});

/** A gateway of its own, whose window does not end while the test runs. */
async function limited(env: Record<string, string>): Promise<TestGateway> {
  const addresses = `cost-center=${fleet.services.addresses['cost-center']}`;
  const settings = { SERVICE_ADDRESSES: addresses, TRUSTED_PROXIES: 'loopback', RATE_LIMIT_WINDOW_SECONDS: '600', ...env };
  const gateway = await testGateway(fleet.tls, fleet.issuer, settings);
  gateways.push(gateway);
  return gateway;
}

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
const person = (id: string, company = 'company-a') => ({ sub: id, companies: [company] });
const statuses = async (times: number, ask: (index: number) => Promise<{ status: number }>) => {
  const all: number[] = [];
  for (let index = 0; index < times; index += 1) all.push((await ask(index)).status);
  return all;
};

describe('a rate limit', () => {
  it('of an address holds before anything is known of the caller, and tells when to come back', async () => {
    const gateway = await limited({ RATE_LIMIT_ADDRESS: '3' });
    expect(await statuses(3, () => gateway.send('GET', path, from('192.0.2.1')))).toEqual([401, 401, 401]);
    const answer = await gateway.as({}, 'GET', path, from('192.0.2.1'));
    expect(answer).toMatchObject({ status: 429, json: { code: 'rate_limited', status: 429, title: 'Too many requests' } });
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.json.trace_id).toBe(answer.headers.get('x-trace-id'));
    const wait = Number(answer.headers.get('retry-after'));
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(600);
    expect(answer.headers.get('ratelimit-limit')).toBe('3');
    expect(answer.headers.get('ratelimit-remaining')).toBe('0');
    expect(Number(answer.headers.get('ratelimit-reset'))).toBe(wait);
    expect((await gateway.send('GET', '/v1/nothing', from('192.0.2.1'))).status).toBe(429);
    expect((await gateway.as({}, 'GET', path, from('192.0.2.2'))).status).toBe(200);
  });

  it('of an IPv6 address is of its /64, and an address in the guise of IPv6 is itself', async () => {
    const gateway = await limited({ RATE_LIMIT_ADDRESS: '2' });
    const ask = (address: string) => gateway.as({}, 'GET', path, from(address)).then(({ status }) => status);
    expect([await ask('2001:db8:1:2::1'), await ask('2001:db8:1:2:ffff::9'), await ask('2001:db8:1:2::3')]).toEqual([200, 200, 429]);
    expect(await ask('2001:db8:1:3::1')).toBe(200);
    expect([await ask('::ffff:192.0.2.1'), await ask('192.0.2.1'), await ask('::ffff:192.0.2.1')]).toEqual([200, 200, 429]);
  });

  it('of a person holds wherever the requests come from, refused ones too; others are served', async () => {
    const gateway = await limited({ RATE_LIMIT_SUBJECT: '3' });
    const ask = (id: string, index: number) => gateway.as(person(id), 'GET', path, from(`192.0.2.${index}`));
    expect((await gateway.as({ ...person('ana'), realm_access: { roles: [] } }, 'GET', path)).status).toBe(403);
    expect(await statuses(3, (index) => ask('ana', index))).toEqual([200, 200, 429]);
    expect((await gateway.as(person('ana'), 'GET', '/v1/me')).status).toBe(429);
    expect((await ask('bea', 1)).status).toBe(200);
  });

  it('of a company holds for all its people together', async () => {
    const gateway = await limited({ RATE_LIMIT_COMPANY: '3' });
    expect(await statuses(4, (index) => gateway.as(person(`person-${index}`), 'GET', path))).toEqual([200, 200, 200, 429]);
    expect((await gateway.as(person('person-0', 'company-b'), 'GET', path)).status).toBe(200);
  });

  it('is told by the counter that is nearest to its end', async () => {
    const gateway = await limited({ RATE_LIMIT_ADDRESS: '100', RATE_LIMIT_SUBJECT: '7', RATE_LIMIT_COMPANY: '50' });
    const { headers } = await gateway.as({}, 'GET', path);
    expect([headers.get('ratelimit-limit'), headers.get('ratelimit-remaining'), headers.get('retry-after')]).toEqual(['7', '6', null]);
  });

  it('is stricter for the login routes', async () => {
    const session = {
      PUBLIC_URL: 'https://localhost',
      OIDC_CLIENT_SECRET: 'secret',
      SESSION_KEY: Buffer.alloc(32, 1).toString('base64'),
      RATE_LIMIT_LOGIN: '2',
    };
    const gateway = await limited(session);
    expect(await statuses(3, () => gateway.send('GET', '/v1/auth/callback?state=x&code=y'))).toEqual([400, 400, 429]);
    expect((await gateway.send('POST', '/v1/auth/logout')).status).toBe(429);
    expect((await gateway.as({}, 'GET', path)).status).toBe(200);
  });

  it('of 0 is none, and health is never counted', async () => {
    const off = await limited({ RATE_LIMIT_ADDRESS: '0', RATE_LIMIT_SUBJECT: '0', RATE_LIMIT_COMPANY: '0' });
    const answer = await off.as({}, 'GET', path);
    expect([answer.status, answer.headers.get('ratelimit-limit')]).toEqual([200, null]);
    const one = await limited({ RATE_LIMIT_ADDRESS: '1' });
    expect(await statuses(5, () => one.send('GET', '/health/live'))).toEqual([200, 200, 200, 200, 200]);
  });

  it('of many addresses takes a bounded memory: the least used counter is forgotten', async () => {
    const gateway = await limited({ RATE_LIMIT_ADDRESS: '1', RATE_LIMIT_COUNTERS: '100' });
    const ask = (index: number) => gateway.send('GET', '/v1/nothing', from(`192.0.2.${index}`));
    expect(await statuses(2, () => ask(0))).toEqual([404, 429]);
    expect(await statuses(100, (index) => ask(index + 1))).not.toContain(429);
    expect(await statuses(2, () => ask(0))).toEqual([404, 429]);
  });
});

describe('an overloaded gateway', () => {
  it('turns requests away with 503 and Retry-After, answers health, and says so once', async () => {
    const gateway = await limited({ PRESSURE_HEAP_SHARE: '0.0001' });
    await vi.waitUntil(async () => (await gateway.send('GET', '/v1/nothing')).status === 503, { timeout: 30_000 });
    const answer = await gateway.as({}, 'GET', path);
    expect(answer).toMatchObject({ status: 503, json: { code: 'unavailable' } });
    expect(answer.headers.get('retry-after')).toBe('2');
    expect(answer.headers.get('x-trace-id')).toBe(answer.json.trace_id);
    expect((await gateway.send('GET', '/health/live')).status).toBe(200);
    const said = gateway.lines.filter((line) => line.includes('requests are turned away'));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('heapUsedBytes');
  });
});
