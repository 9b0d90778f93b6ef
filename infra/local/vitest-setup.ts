import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bringUp, dataFolder, locate } from './src/bring-up.ts';
import { cacheFolder } from './src/cache.ts';
import type { Engine } from './src/engine.ts';
import { cloudwatch, elasticsearch, kafka, keycloak, mail, mongodb, postgresql } from './src/engines/index.ts';
import { keycloakAdmin } from './src/engines/keycloak.ts';
import { mailPages } from './src/engines/mail.ts';
import { ensureRealm } from './src/keycloak-realm.ts';
import { endLeftovers } from './src/processes.ts';
import { plainProgress } from './src/progress.ts';
import { makeSigningKey, realmOf } from './src/realm.ts';
import { keptSecret } from './src/secrets.ts';
import { createSupervisor, runningSupervisor } from './src/supervisor.ts';

const PREFIX = 'biz-test-engines-';
const shared = Symbol.for('biz-retail.test-engines');
const holder = globalThis as typeof globalThis & { [shared]?: { users: number; run: Promise<Run> } };

/**
 * Engines for the tests of a project. What the environment gives is used; the rest is started once for the whole run, however many
 * projects it has, on free ports with data in a temporary folder. Tests read the addresses through @biz/testing.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const wanted = await enginesFor(project);
  holder[shared] ??= { users: 0, run: openRun() };
  const current = holder[shared];
  current.users++;
  const run = await current.run;
  await run.need(wanted);
  return async () => {
    if (--current.users > 0) return;
    delete holder[shared];
    await run.close();
  };
}

/** Engines that few tests need: started only for runs in which some file speaks of them. */
const seldom: readonly (readonly [RegExp, Engine])[] = [
  [/keycloak/i, keycloak],
  [/elasticsearchUrl/, elasticsearch],
  [/postgresqlUrl/, postgresql],
  [/cloudwatchEndpoint/, cloudwatch],
];

async function enginesFor(project: TestProject): Promise<Engine[]> {
  if (project.name === 'e2e') return [keycloak, kafka, mongodb, mail];
  // Not in vitest's public types; without it every file of the project is looked at.
  const { filenamePattern = [] } = project.vitest as { filenamePattern?: string[] };
  const { testFiles } = await project.globTestFiles(filenamePattern);
  const texts = await Promise.all(testFiles.map((file) => readFile(file, 'utf8')));
  return [...seldom.flatMap(([word, engine]) => (texts.some((text) => word.test(text)) ? [engine] : [])), kafka, mongodb];
}

async function openRun(): Promise<Run> {
  await endAbandoned();
  const folder = await mkdtemp(join(tmpdir(), PREFIX));
  const supervisor = await createSupervisor({
    folders: { logs: join(folder, 'logs'), run: join(folder, 'run') },
    say: (news) => console.warn(`test engines: ${news.name} ${news.event}`),
  });
  const started = new Map<string, Promise<void>>();
  const start = async (engine: Engine) => {
    const located = await locate(engine);
    if (located.external) return;
    await bringUp(located, {
      cache: cacheFolder(),
      folder,
      supervisor,
      progress: plainProgress(`test engines: ${engine.name} ${engine.version}`),
    });
    process.env[engine.variable] = located.address;
    if (engine === mail) process.env.MAIL_URL = mailPages(located.ports);
    if (engine === keycloak) await makeRealm(located.address, folder);
  };
  return {
    async need(engines) {
      for (const engine of engines) if (!started.has(engine.name)) started.set(engine.name, start(engine));
      await Promise.all(engines.map((engine) => started.get(engine.name)));
    },
    async close() {
      await supervisor.stop();
      // what an engine left behind may write for a moment more, and that no file can be removed fails no test
      await rm(folder, { recursive: true, force: true, maxRetries: 10 }).catch((error: Error) => console.warn(error.message));
    },
  };
}

async function makeRealm(url: string, folder: string): Promise<void> {
  const keys = join(folder, 'keys');
  const secret = async (name: string) => (await keptSecret(keys, name)).text;
  const identitySecret = await secret('identity-client');
  const admin = await keycloakAdmin(dataFolder(folder, keycloak));
  const options = {
    realm: 'biz',
    gatewayUrl: 'https://localhost:8443',
    gatewaySecret: await secret('gateway-client'),
    identitySecret,
    signingKey: await makeSigningKey(),
  };
  await ensureRealm({ url, realm: options.realm, admin, representation: realmOf(options) });
  Object.assign(process.env, {
    KEYCLOAK_ADMIN: admin.username,
    KEYCLOAK_ADMIN_PASSWORD: admin.password,
    KEYCLOAK_REALM: options.realm,
    KEYCLOAK_CLIENT_ID: 'identity-service',
    KEYCLOAK_CLIENT_SECRET: identitySecret,
  });
}

/** A run that was killed could not stop its engines. */
async function endAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    if ((await runningSupervisor(join(folder, 'run'))) !== undefined) continue;
    await endLeftovers(join(folder, 'run'), 5_000);
    await rm(folder, { recursive: true, force: true }).catch(() => undefined); // another user's
  }
}

interface Run {
  need(engines: readonly Engine[]): Promise<void>;
  close(): Promise<void>;
}
