import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { loadContract } from '@biz/protos';
import { type TestTls, testTls, until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRpcServer, type RpcServer } from './index.ts';

const service = 'biz.cost_center.v1.CostCenterService';
const contract = loadContract();
const log = { error: () => {}, info: () => {}, debug: () => {} };
const script = `import { reportServing } from '@biz/rpc'; await reportServing();`;

let tls: TestTls;
let server: RpcServer;

beforeAll(async () => {
  tls = await testTls(['cost-center', 'team']);
  const handlers = Object.fromEntries(contract.service(service).methods.map((method) => [method.name, async () => ({})]));
  server = await createRpcServer({ contract, services: [service], handlers, listen: '127.0.0.1:0', tls: tls.tls('cost-center'), log });
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await tls?.[Symbol.asyncDispose]();
});

/** As a container's runtime does it: a process that ends with 0 or not. */
function check(settings: Record<string, string>): Promise<{ code: unknown; said: string }> {
  const args = ['--conditions=source', '--input-type=module', '--eval', script];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: join(import.meta.dirname, '..'), env: settings }, (error, stdout) =>
      resolve({ code: error === null ? 0 : error.code, said: stdout.trim() }),
    );
  });
}

/** It asks once, for two seconds at most, which a busy machine may take longer than: a runtime asks again, too. */
const checkSays = (settings: Record<string, string>, said: string) =>
  until(
    async () => {
      const told = await check(settings);
      return told.said.includes(said) && told;
    },
    { what: `a check that says ${said}` },
  );

const settingsOf = (process: string, listen = server.address) => {
  const { caFile, certFile, keyFile } = tls.tls(process);
  return { GRPC_LISTEN: listen, TLS_CA_FILE: caFile, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
};

it('is 0 while the server serves, also one that listens everywhere', async () => {
  expect(await checkSays(settingsOf('cost-center'), 'SERVING')).toEqual({ code: 0, said: 'SERVING' });
  const everywhere = server.address.replace('127.0.0.1', '0.0.0.0');
  expect(await checkSays(settingsOf('cost-center', everywhere), 'SERVING')).toEqual({ code: 0, said: 'SERVING' });
});

it('is 1 when it does not serve, is another process, or is not there, and says which', async () => {
  server.setServing(false);
  expect(await checkSays(settingsOf('cost-center'), 'SERVING')).toEqual({ code: 1, said: 'NOT_SERVING' });
  server.setServing(true);
  expect((await checkSays(settingsOf('team'), 'not of "team"')).code).toBe(1);
  expect((await checkSays(settingsOf('cost-center', '127.0.0.1:1'), 'ECONNREFUSED')).code).toBe(1);
  expect(await check({})).toEqual({ code: 1, said: 'TLS_CA_FILE is not set: the server cannot be asked.' });
});
