import { until } from '@biz/testing';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { someId, type TestFleet, type TestGateway, testFleet, testGateway } from '../testing/index.ts';
import { type TestRedis, testRedis } from '../testing/redis.ts';

let redis: TestRedis;
let fleet: TestFleet;
let other: TestGateway;
const path = `/v1/cost-centers/${someId}`;
const limit = 4;

beforeAll(async () => {
  redis = await testRedis();
  const shared = {
    RATE_LIMIT_REDIS_URL: redis.url,
    RATE_LIMIT_SUBJECT: String(limit),
    RATE_LIMIT_WINDOW_SECONDS: '600',
    // the test machine may be slow; what hangs is cut by the same
    RATE_LIMIT_REDIS_TIMEOUT_MS: '2000',
  };
  fleet = await testFleet({ processes: ['cost-center'], env: shared });
  const addresses = `cost-center=${fleet.services.addresses['cost-center']}`;
  other = await testGateway(fleet.tls, fleet.issuer, { SERVICE_ADDRESSES: addresses, ...shared });
});
afterAll(async () => {
  await other?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
  await redis?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  fleet.reset();
  other.lines.length = 0;
});

let people = 0;
const somebody = () => ({ sub: `person-${++people}` });
const status = (gateway: TestGateway, claims: object) => gateway.as(claims, 'GET', path).then((answer) => answer.status);
/** One person's first requests until 429, by turns at both gateways. */
async function servedByBoth(claims: object): Promise<number> {
  for (let served = 0; ; served += 1) if ((await status(served % 2 ? other : fleet.gateway, claims)) === 429) return served;
}
const said = (text: string) => [...fleet.gateway.lines, ...other.lines].filter((line) => line.includes(text)).length;

describe('two gateways with one Redis', () => {
  it('share one count, and forget it with the window', async () => {
    await until(async () => (await servedByBoth(somebody())) === limit, { what: 'both gateways to be connected' });
    const ana = somebody();
    expect(await servedByBoth(ana)).toBe(limit);
    expect([await status(fleet.gateway, ana), await status(other, ana)]).toEqual([429, 429]);
    const client = new Redis(redis.url);
    const keys = await client.keys('*');
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) {
      expect(key).toMatch(/^biz:rate:.*(address|subject|company|login):[\w-]{43}$/); // neither an address nor an id
      expect(await client.pttl(key)).toBeGreaterThan(0);
    }
    client.disconnect();
  });

  it('count alone while it is away or hangs, say so once, and count together again', async () => {
    for (const [away, back] of [
      [redis.kill, redis.start],
      [redis.hang, redis.resume],
    ] as const) {
      await away();
      const bea = somebody();
      expect(await servedByBoth(bea)).toBe(2 * limit);
      expect(said('this gateway counts alone')).toBe(2);
      await back();
      await until(async () => (await servedByBoth(somebody())) === limit, { what: 'one count again' });
      expect(said('the shared rate limits are back')).toBe(2);
      fleet.reset();
      other.lines.length = 0;
    }
  });

  it('serve from the start without it', async () => {
    await redis.kill();
    const settings = { RATE_LIMIT_REDIS_URL: redis.url, SERVICE_ADDRESSES: `cost-center=${fleet.services.addresses['cost-center']}` };
    const late = await testGateway(fleet.tls, fleet.issuer, settings);
    expect(await status(late, {})).toBe(200);
    await late[Symbol.asyncDispose]();
  });
});
