import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { type TlsFiles, tlsFolder } from '@biz/pki';
import { loadContract } from '@biz/protos';
import { type TestTls, testTls, until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CallContext, createRpcClient, createRpcServer, type Handler, type RpcServer, watchCertificates } from './index.ts';

const contract = loadContract();
const service = 'biz.cost_center.v1.CostCenterService';
const handlers: Record<string, Handler> = Object.fromEntries(contract.service(service).methods.map(({ name }) => [name, async () => ({})]));
const context: CallContext = {
  actor: { id: 'u-1', type: 'user' },
  role: 'admin',
  roles: ['admin'],
  company_id: 'c-1',
  companies: ['c-1'],
  clients: [],
  ip: '203.0.113.9',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
  request_id: 'r-1',
};
const lines: string[] = [];
const log = {
  error: (data: object, message: string) => void lines.push(`${message} ${JSON.stringify(data)}`),
  info: (data: object, message: string) => void lines.push(`${message} ${JSON.stringify(data)}`),
  debug: () => {},
};
let atWork: () => Promise<object> = async () => ({});
handlers.GetCostCenter = () => atWork();
const reloadMs = 20;

let tls: TestTls;
let server: RpcServer;
let files: TlsFiles;
let folders = 0;

beforeAll(async () => {
  tls = await testTls(['cost-center', 'team']);
  files = tls.tls('cost-center');
  server = await createRpcServer({ contract, services: [service], handlers, listen: '127.0.0.1:0', tls: { ...files, reloadMs }, log });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await tls?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  lines.length = 0;
});

/** A new certificate of the same authority, or of a new one, in files of its own. */
async function issue(process: string, authority: 'same' | 'other' = 'same'): Promise<TlsFiles> {
  const folder = join(tls.folder, `issued-${++folders}`);
  await mkdir(folder);
  if (authority === 'same') for (const file of ['ca.pem', 'ca-key.pem']) await copyFile(join(tls.folder, file), join(folder, file));
  return (await tlsFolder(folder, [process])).tls(process);
}

/** Puts files in place of others, each at once. */
async function put(from: TlsFiles, to: TlsFiles): Promise<void> {
  for (const name of ['keyFile', 'certFile'] as const) {
    await copyFile(from[name], `${to[name]}.new`);
    await rename(`${to[name]}.new`, to[name]);
  }
}

const serialOf = (file: string) => new X509Certificate(readFileSync(file)).serialNumber;

/** The serial number that a new connection to the server sees. */
function shown(): Promise<string> {
  const own = tls.tls('team');
  const [ca, cert, key] = [own.caFile, own.certFile, own.keyFile].map((file) => readFileSync(file));
  const socket = connect({
    host: '127.0.0.1',
    port: Number(server.address.split(':')[1]),
    servername: 'localhost',
    ca,
    cert,
    key,
  } as never);
  return once(socket, 'secureConnect').then(() => {
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  });
}

describe('the certificate of a server', () => {
  it('takes effect for new connections when its files change; a call at work goes on', async () => {
    const before = serialOf(files.certFile);
    expect(await shown()).toBe(before);
    using client = createRpcClient({ contract, service, address: server.address, tls: tls.tls('team') });
    const work = Promise.withResolvers<object>();
    const begun = Promise.withResolvers<void>();
    atWork = () => {
      begun.resolve();
      return work.promise;
    };
    const answer = client.call<{ code: string }>('GetCostCenter', { id: '01890000-0000-7000-8000-000000000000' }, context);
    await begun.promise;
    const next = await issue('cost-center');
    await put(next, files);
    await until(async () => (await shown()) === serialOf(next.certFile), { what: 'the new certificate' });
    expect(serialOf(next.certFile)).not.toBe(before);
    work.resolve({ code: 'A' });
    expect(await answer).toMatchObject({ code: 'A' });
    expect(lines.filter((line) => line.includes('is used from now on'))).toHaveLength(1);
  });

  it.each([
    ['half-written', async () => writeFile(files.certFile, (await readFile(files.certFile)).subarray(0, 300)), 'PEM|end of|bad'],
    ['of another key', async () => copyFile((await issue('cost-center')).certFile, files.certFile), 'key values mismatch'],
    ['of another authority', async () => put(await issue('cost-center', 'other'), files), 'another authority'],
    ['not there', async () => rm(files.certFile), 'ENOENT'],
  ])('that is %s is not taken: the former stays, and the log says so', async (_, spoil, why) => {
    const before = await shown();
    await spoil();
    await until(() => lines.some((line) => new RegExp(`the former stays.*(${why})`, 'i').test(line)), { what: 'the log to say it' });
    expect(await shown()).toBe(before);
    const good = await issue('cost-center');
    await put(good, files);
    await until(async () => (await shown()) === serialOf(good.certFile), { what: 'the next good certificate' });
  });

  it('that cannot be used at the start is told with its file', async () => {
    const other = await issue('cost-center', 'other');
    expect(() => watchCertificates({ ...files, certFile: other.certFile, keyFile: other.keyFile })).toThrow(
      /issued-\d+\/cost-center\.pem cannot be used: It is of another authority/,
    );
  });
});

describe('the authority', () => {
  it('may be two for a while, so that it can be changed without a stop', async () => {
    const other = await issue('team', 'other');
    const newcomer = { ...other, caFile: `${other.caFile}.both` };
    const both = `${readFileSync(files.caFile, 'utf8')}${readFileSync(other.caFile, 'utf8')}`;
    await writeFile(newcomer.caFile, both);
    atWork = async () => ({ code: 'A' });
    using client = createRpcClient({ contract, service, address: server.address, tls: newcomer });
    const ask = () => client.call<{ code: string }>('GetCostCenter', { id: '01890000-0000-7000-8000-000000000000' }, context);
    await expect(ask()).rejects.toMatchObject({ code: 'unavailable' });
    await copyFile(newcomer.caFile, `${files.caFile}.new`);
    await rename(`${files.caFile}.new`, files.caFile);
    expect(await until(ask, { what: 'the newcomer to be known' })).toMatchObject({ code: 'A' });
    expect(await shown()).toBe(serialOf(files.certFile));
  });
});

describe('the certificate of a client', () => {
  it('takes effect for its next connection', async () => {
    const own = await issue('team');
    const seen: string[] = [];
    const [ca, cert, key] = [files.caFile, files.certFile, files.keyFile].map((file) => readFileSync(file));
    const peer = createServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] } as never, (socket) => {
      seen.push(socket.getPeerCertificate().serialNumber);
      socket.destroy(); // so that the client connects again
    }).listen(0, '127.0.0.1');
    await once(peer, 'listening');
    const address = `127.0.0.1:${(peer.address() as AddressInfo).port}`;
    using client = createRpcClient({ contract, service, address, tls: { ...own, reloadMs } });
    const connects = async (serial: string) => {
      await client.ready(500).catch(() => undefined);
      return seen.at(-1) === serial;
    };
    const before = serialOf(own.certFile);
    await until(() => connects(before), { what: 'the first certificate' });
    const next = await issue('team');
    await put(next, own);
    await until(() => connects(serialOf(next.certFile)), { what: 'the new certificate' });
    peer.close();
  });
});
