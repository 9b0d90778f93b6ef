import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TlsFiles, type TlsFolder, tlsFolder } from './folder.ts';

let folder: string;
let made: TlsFolder;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-pki-'));
  made = await tlsFolder(folder, ['gateway', 'team']);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('a server and a client with certificates of one folder trust each other and see who the other is', async () => {
  const server = createServer({ ...(await load(made.tls('team'))), requestCert: true, rejectUnauthorized: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const seen = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const client = connect({
    ...(await load(made.tls('gateway'))),
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    servername: 'localhost',
  });
  await once(client, 'secureConnect');
  const [socket] = await seen;
  expect(client.authorized).toBe(true);
  expect(socket.authorized).toBe(true);
  expect(client.getPeerCertificate().subjectaltname).toContain('URI:spiffe://biz-retail/team');
  expect(socket.getPeerCertificate().subjectaltname).toContain('URI:spiffe://biz-retail/gateway');
  client.destroy();
  socket.destroy();
  server.close();
});

test('another authority is not trusted', async () => {
  const other = await mkdtemp(join(tmpdir(), 'biz-pki-'));
  const foreign = await tlsFolder(other, ['team']);
  const ours = new X509Certificate(await readFile(made.caFile));
  const theirs = new X509Certificate(await readFile(foreign.tls('team').certFile));
  expect(theirs.verify(ours.publicKey)).toBe(false);
  await rm(other, { recursive: true, force: true });
});

test('what is there is kept, what is missing is added', async () => {
  const before = await readFile(made.tls('team').certFile, 'utf8');
  const again = await tlsFolder(folder, ['team', 'audit']);
  expect(await readFile(again.tls('team').certFile, 'utf8')).toBe(before);
  expect(new X509Certificate(await readFile(again.tls('audit').certFile)).subject).toBe('CN=audit');
});

test('keys are for the owner only', async () => {
  for (const file of [made.tls('team').keyFile, join(folder, 'ca-key.pem')]) {
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  }
});

async function load(files: TlsFiles): Promise<{ ca: Buffer; cert: Buffer; key: Buffer }> {
  const [ca, cert, key] = await Promise.all([readFile(files.caFile), readFile(files.certFile), readFile(files.keyFile)]);
  return { ca, cert, key };
}
