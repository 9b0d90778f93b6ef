import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { someId, type TestFleet, testFleet } from './testing/index.ts';

let fleet: TestFleet;
const path = `/v1/cost-centers/${someId}`;

beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center'], env: { RATE_LIMIT_SUBJECT: '1', RATE_LIMIT_WINDOW_SECONDS: '600' } });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

const as = (id: string) => fleet.gateway.as({ sub: id }, 'GET', path);

describe('what a browser is told with every answer', () => {
  it.each([
    ['200', () => as('ana'), 200],
    ['health', () => fleet.gateway.send('GET', '/health/live'), 200],
    ['the API document', () => fleet.gateway.send('GET', '/openapi.json'), 200],
    ['401', () => fleet.gateway.send('GET', path), 401],
    ['404', () => fleet.gateway.send('GET', '/v1/nothing'), 404],
    ['405', () => fleet.gateway.send('PUT', path), 405],
    ['429', async () => [await as('bea'), await as('bea')][1] as Awaited<ReturnType<typeof as>>, 429],
    ['a path that is not well-formed', () => fleet.gateway.send('GET', '/v1/cost-centers/%zz'), 400],
  ])('%s', async (_, ask, status) => {
    const { headers, ...answer } = await ask();
    expect(answer.status).toBe(status);
    const [, age] = /^max-age=(\d+); includeSubDomains$/.exec(headers.get('strict-transport-security') ?? '') ?? [];
    expect(Number(age)).toBeGreaterThanOrEqual(365 * 24 * 60 * 60);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(headers.get('server') ?? headers.get('x-powered-by')).toBeNull();
  });
});
