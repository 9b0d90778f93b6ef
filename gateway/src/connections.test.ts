// Fault 17, where it is about connections: clients that connect and then do nothing, or less than a request, or ask and take nothing of the answer.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type TLSSocket } from 'node:tls';
import { until } from '@biz/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { someId, type TestFleet, type TestGateway, testFleet, testGateway } from './testing/index.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** What one test process, which has both ends, can open in reasonable time; the figure for 10,000 is in the README. */
const many = 300;

let fleet: TestFleet;
let gateway: TestGateway;
const open = new Set<TLSSocket>();

beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center'] });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());
afterEach(async () => {
  for (const socket of open) socket.destroy();
  open.clear();
  await gateway?.[Symbol.asyncDispose]();
});

async function start(env: Record<string, string>): Promise<void> {
  fleet.reset();
  const addresses = `cost-center=${fleet.services.addresses['cost-center']}`;
  gateway = await testGateway(fleet.tls, fleet.issuer, { SERVICE_ADDRESSES: addresses, ...env });
}

/** A connection that reads nothing so far. */
function dial(): TLSSocket {
  const { port } = new URL(gateway.url);
  const socket = connect({ host: '127.0.0.1', port: Number(port), servername: 'localhost', ca: readFileSync(fleet.tls.caFile) });
  open.add(socket);
  return socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy());
}

/** A connection that has shaken hands and says no more than `text`; resolves also when it is refused. */
async function idle(text = ''): Promise<TLSSocket> {
  const socket = dial().resume(); // one that does not read does not see its end
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]).catch(() => undefined);
  if (text && socket.writable) socket.write(text);
  return socket;
}

async function idleOnes(count: number, text = ''): Promise<void> {
  for (let made = 0; made < count; made += 50) await Promise.all(Array.from({ length: Math.min(50, count - made) }, () => idle(text)));
}

const served = () => gateway.as({}, 'GET', `/v1/cost-centers/${someId}`).then(({ status }) => status);

describe('idle connections', () => {
  it('by the hundred leave the others served', async () => {
    await start({ HEADERS_TIMEOUT_MS: '600000', REQUEST_TIMEOUT_MS: '600000' });
    await idleOnes(many / 2);
    await idleOnes(many / 2, 'GET /v1/teams HTTP/1.1\r\nhost: x\r\n');
    expect(open.size).toBe(many);
    expect(await Promise.all([served(), served(), served()])).toEqual([200, 200, 200]);
    expect(open.size).toBe(many);
  });

  it('that never ask are closed when the headers should have come', async () => {
    await start({ HEADERS_TIMEOUT_MS: '300', REQUEST_TIMEOUT_MS: '600' });
    await idleOnes(20);
    await until(() => open.size === 0, { what: 'all of them to be closed', timeoutMs: 30_000 });
    expect(await served()).toBe(200);
  });

  it('that asked once are closed after the keep-alive time', async () => {
    await start({ KEEP_ALIVE_MS: '200' });
    await idleOnes(20, 'GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n');
    await until(() => open.size === 0, { what: 'all of them to be closed', timeoutMs: 30_000 });
    expect(await served()).toBe(200);
  });

  it('beyond the most that may be are not taken; room is there again when one goes', async () => {
    await start({ MAX_CONNECTIONS: '10', HEADERS_TIMEOUT_MS: '60000', REQUEST_TIMEOUT_MS: '60000' });
    await idleOnes(10);
    expect(open.size).toBe(10);
    const eleventh = await idle();
    await until(() => !open.has(eleventh), { what: 'the eleventh to be closed' });
    expect(open.size).toBe(10);
    for (const socket of [...open].slice(0, 5)) socket.destroy();
    await until(
      () =>
        served()
          .then((status) => status === 200)
          .catch(() => false),
      { what: 'a request to be served' },
    );
  });
});

describe('a client that takes nothing of its answer', () => {
  it('is cut off', async () => {
    await start({ STREAM_STALL_MS: '300', KEEP_ALIVE_MS: '600000' });
    const socket = dial();
    // far more than what the system's buffers hold, and no service has a deadline for it
    socket.write('GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(200));
    const cut = () => gateway.lines.map((text) => JSON.parse(text)).some(({ msg, status }) => msg === 'answered' && status === 499);
    await until(cut, { what: 'the line in the log', timeoutMs: 60_000 });
    socket.resume();
    await until(() => !open.has(socket), { what: 'the connection to be closed', timeoutMs: 30_000 });
  });

  it('is not one that waits for its service', async () => {
    await start({ STREAM_STALL_MS: '50' });
    fleet.services.handlers.set('GetCostCenter', async () => {
      await new Promise((resolve) => setTimeout(resolve, 400)); // several times the limit
      return { id: someId };
    });
    expect(await served()).toBe(200);
  });
});
