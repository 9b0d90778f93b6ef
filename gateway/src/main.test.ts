import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@biz/testing';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { someId, type TestFleet, testFleet } from './testing/index.ts';

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center'] });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

/** The gateway as the supervisor starts it: a process of its own, told by IPC. */
function start(env: Record<string, string>): { child: ChildProcess; said: string[] } {
  const said: string[] = [];
  const child = fork(join(import.meta.dirname, 'main.ts'), [], {
    execArgv: ['--conditions=source', '--disable-warning=TimeoutNegativeWarning'],
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  child.stdout?.on('data', (text) => said.push(String(text)));
  return { child, said };
}

function settings(): Record<string, string> {
  const files = fleet.tls.tls('gateway');
  return {
    GATEWAY_PORT: '0',
    TLS_CA_FILE: files.caFile,
    TLS_CERT_FILE: files.certFile,
    TLS_KEY_FILE: files.keyFile,
    OIDC_ISSUER: fleet.issuer.issuer,
    OIDC_JWKS_URL: fleet.issuer.jwksUrl,
    SERVICE_ADDRESSES: `cost-center=${fleet.services.addresses['cost-center']}`,
    // a busy machine is not what is tested here: the default would have a process that just started answer 503
    PRESSURE_EVENT_LOOP_DELAY_MS: '0',
  };
}

describe('the process', () => {
  it('answers what is at work when SIGTERM comes, then ends with 0', async () => {
    const { child } = start(settings());
    const [message] = (await once(child, 'message')) as [{ ready: boolean; address: string }];
    expect(message.ready).toBe(true);
    const work = { arrived: false, release: () => {} };
    fleet.services.handlers.set('GetCostCenter', async () => {
      work.arrived = true;
      await new Promise<void>((resolve) => {
        work.release = resolve;
      });
      return { id: someId, version: 9 };
    });
    const dispatcher = new Agent({ connect: { ca: readFileSync(fleet.tls.caFile) } });
    const headers = { authorization: `Bearer ${await fleet.issuer.token()}` };
    const url = `https://localhost:${message.address.split(':')[1]}`;
    const answer = request(`${url}/v1/cost-centers/${someId}`, { headers, dispatcher });
    await until(() => work.arrived, { what: 'the request to be at work' });
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await until(
      () =>
        request(`${url}/health/live`, { dispatcher: new Agent() }).then(
          () => false,
          (error) => error.code === 'ECONNREFUSED',
        ),
      {
        what: 'the port to be closed',
      },
    );
    work.release();
    const { statusCode, headers: told } = await answer;
    expect(statusCode).toBe(200);
    expect(told.etag).toBe('"9"');
    expect(await ended).toEqual([0, null]);
    await dispatcher.close();
  });

  it('says what is wrong with its settings and ends with 1', async () => {
    const { child, said } = start({ ...settings(), OIDC_ISSUER: '' });
    expect(await once(child, 'close')).toEqual([1, null]); // with it, unlike `exit`, all that it said is here
    expect(said.join('')).toContain('OIDC_ISSUER');
  });
});
