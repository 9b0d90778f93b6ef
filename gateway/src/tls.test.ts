import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect, createServer } from 'node:tls';
import { tlsFolder } from '@biz/pki';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { someId, type TestFleet, testFleet } from './testing/index.ts';

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center'], env: { TLS_RELOAD_SECONDS: '0.02' } });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

const portOf = (url: string) => Number(new URL(url).port);

/** A new connection: what it was made with. Rejects when it is not made. */
async function shaken(port: number, options: ConnectionOptions = {}): Promise<{ serial: string; protocol: string | null }> {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: readFileSync(fleet.tls.caFile), ...options });
  await once(socket, 'secureConnect');
  const made = { serial: socket.getPeerCertificate().serialNumber, protocol: socket.getProtocol() };
  socket.destroy();
  return made;
}

describe('the certificate', () => {
  it('takes effect for new connections when its files change; a request at work goes on', async () => {
    const { certFile, keyFile } = fleet.tls.tls('gateway');
    const port = portOf(fleet.gateway.url);
    const serial = () => new X509Certificate(readFileSync(certFile)).serialNumber;
    const before = serial();
    expect((await shaken(port)).serial).toBe(before);
    const work = Promise.withResolvers<object>();
    const begun = Promise.withResolvers<void>();
    fleet.services.handlers.set('GetCostCenter', () => {
      begun.resolve();
      return work.promise;
    });
    const answer = fleet.gateway.as({}, 'GET', `/v1/cost-centers/${someId}`);
    await begun.promise;

    const good = readFileSync(certFile);
    await writeFile(certFile, good.subarray(0, 200));
    await until(() => fleet.gateway.lines.some((line) => line.includes('the former stays')), { what: 'the log to say it' });
    expect((await shaken(port)).serial).toBe(before);

    const folder = join(fleet.tls.folder, 'next');
    await mkdir(folder);
    for (const file of ['ca.pem', 'ca-key.pem']) await copyFile(join(fleet.tls.folder, file), join(folder, file));
    const next = (await tlsFolder(folder, ['gateway'])).tls('gateway');
    await rename(next.keyFile, keyFile);
    await rename(next.certFile, certFile);
    await until(async () => (await shaken(port)).serial === serial(), { what: 'the new certificate' });
    expect(serial()).not.toBe(before);
    work.resolve({ id: someId, version: 4 });
    expect((await answer).headers.get('etag')).toBe('"4"');
  });
});

/** A client that can do old TLS: OpenSSL leaves it out above security level 0. */
const old: ConnectionOptions = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };

describe('TLS', () => {
  it('1.1 is refused by the gateway and by services, and taken by a server that allows it', async () => {
    const { certFile, keyFile } = fleet.tls.tls('gateway');
    const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)];
    const lax = createServer({ cert, key, minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }).listen(0, '127.0.0.1');
    await once(lax, 'listening');
    expect((await shaken((lax.address() as AddressInfo).port, old)).protocol).toBe('TLSv1.1');
    lax.close();
    await expect(shaken(portOf(fleet.gateway.url), old)).rejects.toThrow(/protocol version/i);
    const service = Number(fleet.services.addresses['cost-center']?.split(':')[1]);
    await expect(shaken(service, { ...old, cert, key })).rejects.toThrow(/protocol version/i);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('%s is taken', async (version) => {
    const made = await shaken(portOf(fleet.gateway.url), { minVersion: version, maxVersion: version });
    expect(made.protocol).toBe(version);
  });

  it('is needed: plain HTTP gets no answer', async () => {
    const socket = connectTcp(portOf(fleet.gateway.url), '127.0.0.1');
    let heard = '';
    socket.on('data', (bytes) => {
      heard += bytes.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.write('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(socket, 'close').catch(() => undefined); // it may be reset
    expect(heard).not.toContain('HTTP/1.1 200');
  });
});
