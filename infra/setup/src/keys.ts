import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gatewayName, keepPublicKey, keptSecret, makeSigningKey, realmOf, seeder, services } from '@biz/local';
import { tlsFolder } from '@biz/pki';

/** Secrets beside its certificate that a process is given, by the file's name: `kek` is what personal data's keys are wrapped with. */
const secretsOf: Readonly<Record<string, readonly SecretName[]>> = {
  ...Object.fromEntries(services.map(({ name }) => [name, ['kek']])),
  audit: ['kek', 'checkpoint-key'],
  identity: ['kek', 'identity-client'],
  notification: ['kek', 'webhook-key'],
  [gatewayName]: ['gateway-client', 'session-key'],
  [seeder]: [],
};

/** Keys that are read as bytes are base64; what is sent as a password is not. */
const encodings = {
  kek: 'base64',
  'checkpoint-key': 'base64',
  'session-key': 'base64',
  'webhook-key': 'base64',
  'identity-client': 'base64url',
  'gateway-client': 'base64url',
} as const satisfies Record<string, 'base64' | 'base64url'>;

/** The folder that everything is made and kept in; no other process sees it. */
export const authority = 'authority';
/** The folder that Keycloak imports its realm from. */
export const realmFolder = 'keycloak';

/** Folders that `makeKeys` fills: one a process, so that each is given its own keys and no other's. */
export const keyFolders: readonly string[] = [authority, realmFolder, ...Object.keys(secretsOf)];

/**
 * Makes every certificate, key and secret of a fleet that are not there yet, and hands each process its own:
 * `<folder>/<process>/{ca,certificate,certificate-key}.pem` and its secrets. What is there is kept, a certificate near its end is made anew.
 * Files have mode 600. A run that was ended half-way is made good by the next.
 */
export async function makeKeys({ folder, realm, publicUrl }: KeysOptions): Promise<void> {
  const own = join(folder, authority);
  const processes = Object.keys(secretsOf);
  const tls = await tlsFolder(join(own, 'tls'), processes);
  const secret = (name: SecretName) => keptSecret(join(own, 'keys'), name, encodings[name]);
  for (const process of processes) {
    const { caFile, certFile, keyFile } = tls.tls(process);
    const files = { 'ca.pem': caFile, 'certificate-key.pem': keyFile, 'certificate.pem': certFile };
    for (const [name, file] of Object.entries(files)) await handOut(join(folder, process), name, await readFile(file, 'utf8'));
    for (const name of secretsOf[process] ?? []) await handOut(join(folder, process), name, `${(await secret(name)).text}\n`);
  }
  await keepPublicKey((await secret('checkpoint-key')).file, join(own, 'verification-key'));
  const representation = realmOf({
    realm,
    gatewayUrl: publicUrl,
    gatewaySecret: (await secret('gateway-client')).text,
    identitySecret: (await secret('identity-client')).text,
    signingKey: await keptSigningKey(join(own, 'keys', 'realm-signing-key')),
  });
  await handOut(join(folder, realmFolder), `${realm}-realm.json`, `${JSON.stringify(representation, null, 2)}\n`);
}

/** In one step: who reads it meanwhile sees the former or this one, whole. */
async function handOut(folder: string, name: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, name);
  if ((await readFile(file, 'utf8').catch(() => undefined)) === text) return;
  await writeFile(`${file}.part`, text, { mode: 0o600 });
  await chmod(`${file}.part`, 0o600); // one that an earlier run left keeps its mode
  await rename(`${file}.part`, file);
}

async function keptSigningKey(file: string): Promise<string> {
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  if (kept !== undefined) return kept;
  const made = await makeSigningKey();
  await writeFile(`${file}.part`, made, { mode: 0o600 });
  await rename(`${file}.part`, file);
  return made;
}

type SecretName = keyof typeof encodings;

interface KeysOptions {
  /** Holds a folder for each of `keyFolders`. */
  folder: string;
  realm: string;
  /** Where clients find the gateway: logins come back there. */
  publicUrl: string;
}
