import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TestFleet, testFleet } from './testing/index.ts';

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center'] });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

/** As a container's runtime does it: a process that ends with 0 or not. */
function check(env: Record<string, string>): Promise<{ code: unknown; said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=source', join(import.meta.dirname, 'healthy.ts')], { env }, (error, stdout) =>
      resolve({ code: error === null ? 0 : error.code, said: stdout.trim() }),
    );
  });
}

it('is 0 while the gateway is ready, also one that listens everywhere, and 1 when it is not there', async () => {
  const port = new URL(fleet.gateway.url).port;
  // the first connections to its parts may take longer on a busy machine than it waits for them
  await until(async () => (await fleet.gateway.send('GET', '/health/ready')).status === 200, { what: 'the gateway to be ready' });
  expect(await check({ GATEWAY_PORT: port })).toEqual({ code: 0, said: '{"status":"ok"}' });
  expect(await check({ GATEWAY_HOST: '0.0.0.0', GATEWAY_PORT: port })).toMatchObject({ code: 0 });
  expect(await check({ GATEWAY_PORT: '1' })).toEqual({ code: 1, said: 'connect ECONNREFUSED 127.0.0.1:1' });
});

it('is 1 while a part that the gateway needs is away, and says which', async () => {
  const without = await testFleet({ processes: ['cost-center'], env: { SERVICE_ADDRESSES: 'team=127.0.0.1:1' } });
  const { code, said } = await check({ GATEWAY_PORT: new URL(without.gateway.url).port });
  await without[Symbol.asyncDispose]();
  expect(code).toBe(1);
  expect(JSON.parse(said)).toMatchObject({ away: ['team'] });
});
