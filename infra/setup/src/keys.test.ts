import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gatewayName, services } from '@biz/local';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keyFolders, makeKeys } from './keys.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-keys-'));
  await makeKeys({ folder, realm: 'biz', publicUrl: 'https://localhost:8443' });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const contents = async () => {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  return Promise.all(
    files.map(async ({ parentPath, name }) => {
      const file = join(parentPath, name);
      return { file, mode: (await stat(file)).mode & 0o777, text: await readFile(file, 'utf8') };
    }),
  );
};

test('every process gets a certificate in its own name, and none the key of another', async () => {
  const authority = new X509Certificate(await readFile(join(folder, 'audit', 'ca.pem')));
  for (const name of [...services.map((service) => service.name), gatewayName, 'bootstrap']) {
    const own = new X509Certificate(await readFile(join(folder, name, 'certificate.pem')));
    expect(own.verify(authority.publicKey)).toBe(true);
    expect(own.subjectAltName).toContain(`URI:spiffe://biz-retail/${name}`);
    expect(own.subjectAltName).toContain(`DNS:${name}`);
  }
  const keys = (await contents()).filter(({ file }) => file.endsWith('certificate-key.pem'));
  expect(new Set(keys.map(({ text }) => text)).size).toBe(services.length + 2);
  expect((await readdir(folder)).sort()).toEqual([...keyFolders].sort());
});

test('secrets go to whom they are for, as files of their owner', async () => {
  const secrets = async (name: string) => (await readdir(join(folder, name))).filter((file) => !file.endsWith('.pem')).sort();
  expect(await secrets('team')).toEqual(['kek']);
  expect(await secrets('audit')).toEqual(['checkpoint-key', 'kek']);
  expect(await secrets('notification')).toEqual(['kek', 'webhook-key']);
  expect(await secrets('identity')).toEqual(['identity-client', 'kek']);
  expect(await secrets('gateway')).toEqual(['gateway-client', 'session-key']);
  expect(await secrets('bootstrap')).toEqual([]);
  const open = (await contents()).filter(({ file, mode }) => mode !== 0o600 && !file.endsWith('verification-key'));
  expect(open).toEqual([]);
});

test('the realm is made of the same secrets', async () => {
  const realm = JSON.parse(await readFile(join(folder, 'keycloak', 'biz-realm.json'), 'utf8'));
  const secretOf = (id: string) => realm.clients.find(({ clientId }: { clientId: string }) => clientId === id).secret;
  expect(secretOf('biz-gateway')).toBe((await readFile(join(folder, 'gateway', 'gateway-client'), 'utf8')).trim());
  expect(secretOf('identity-service')).toBe((await readFile(join(folder, 'identity', 'identity-client'), 'utf8')).trim());
});

test('a second run changes nothing, and one after a crash makes good what is missing', async () => {
  const before = await contents();
  await makeKeys({ folder, realm: 'biz', publicUrl: 'https://localhost:8443' });
  expect(await contents()).toEqual(before);
  await rm(join(folder, 'team'), { recursive: true });
  await makeKeys({ folder, realm: 'biz', publicUrl: 'https://localhost:8443' });
  expect(await contents()).toEqual(before);
});

test('a command tells what is wrong with its settings, by name', () => {
  const main = join(import.meta.dirname, 'main.ts');
  const run = (command: string) => {
    try {
      return execFileSync(process.execPath, ['--conditions=source', main, command], { env: {}, stdio: 'pipe' }).toString();
    } catch (error) {
      return (error as { stderr: Buffer }).stderr.toString();
    }
  };
  expect(run('keys')).toMatch(/KEYS_FOLDER.*\n.*PUBLIC_URL/);
  expect(run('all')).toContain('"all" is no command; there are keys, topics, kibana, seed');
});
