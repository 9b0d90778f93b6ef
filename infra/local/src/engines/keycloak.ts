import { cp, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached, copyWhole, exists } from '../cache.ts';
import { fetchBy, run } from '../command.ts';
import { type Engine, portOf } from '../engine.ts';
import { freePort } from '../ports.ts';
import { keptSecret } from '../secrets.ts';
import { tool } from '../tools.ts';
import { sharedClasses, warmUp } from '../warm.ts';

const VERSION = '26.4.5';
/** What the server is built with; another set of options is another folder of the cache. */
const BUILD = { name: 'h2', options: ['--db=dev-file', '--features-disabled=kerberos,ciba,device-flow'] };
const ADMIN = 'admin';
/** File in the data folder. */
const ADMIN_PASSWORD = 'admin-password';

/** As in `kc.sh`, but quicker to start: one compiler stage and the serial collector are right for a handful of users. */
const JVM = [
  ...['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:+ExitOnOutOfMemoryError'],
  ...['--add-opens=java.base/java.util=ALL-UNNAMED', '--add-opens=java.base/java.util.concurrent=ALL-UNNAMED'],
  ...['--add-opens=java.base/java.security=ALL-UNNAMED', '-Dfile.encoding=UTF-8', '-Duser.language=en', '-Duser.country=US'],
  '-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory',
  ...['-Djava.util.logging.manager=org.jboss.logmanager.LogManager', '-Dpicocli.disable.closures=true'],
];

/**
 * Keycloak, built once for production use, so that it starts in seconds. The distribution in the cache is never written to: the
 * server's home is the data folder, which links to the distribution's libraries.
 */
export const keycloak: Engine = {
  name: 'keycloak',
  version: VERSION,
  variable: 'KEYCLOAK_URL',
  ports: ['keycloak'],
  address: (ports) => `http://127.0.0.1:${portOf(ports, 'keycloak')}`,
  answers: async (address) => (await fetch(`${address}/realms/master`, { signal: AbortSignal.timeout(2_000) })).ok,

  async install({ cache, progress }) {
    await tool('java', 'run Keycloak', progress);
    const home = await cached({
      root: cache,
      name: `keycloak-${VERSION}-${BUILD.name}`,
      proof: join('lib', 'quarkus', 'generated-bytecode.jar'),
      progress,
      async make(folder) {
        const distribution = await fetchDistribution(cache, progress);
        progress('building once');
        await run('cp', ['-R', `${distribution}/.`, folder]);
        await run('java', [...javaArgs(folder, folder), 'build', ...BUILD.options]);
      },
    });
    const warm = await warmUp({
      cache,
      name: `keycloak-${VERSION}-${BUILD.name}`,
      progress,
      prepare: async (folder) => keycloak.process({ home, dataDir: join(folder, 'empty'), ports: { keycloak: await freePort() } }),
    });
    return { home, warm };
  },

  async process({ home, warm, dataDir, ports }) {
    await makeHome(home, warm, dataDir);
    await nameAdmin(dataDir);
    const port = String(portOf(ports, 'keycloak'));
    const address = keycloak.address(ports);
    return {
      name: 'keycloak',
      layer: 'engines',
      command: 'java',
      args: [
        ...sharedClasses(warm),
        ...javaArgs(home, dataDir),
        ...['start', '--optimized', '--http-enabled=true', '--http-host=127.0.0.1', `--http-port=${port}`],
        ...[`--hostname=${address}`, '--cache=local', '--log-console-output=json'],
      ],
      ready: () => keycloak.answers(address),
      readyWithinMs: 300_000,
      stopWithinMs: 8_000,
    };
  },
};

/** The administrator that our own Keycloak has; its password is made with its data. */
export async function keycloakAdmin(dataDir: string): Promise<{ username: string; password: string }> {
  return { username: ADMIN, password: (await keptSecret(dataDir, ADMIN_PASSWORD)).text };
}

/**
 * Names the administrator to a server without data, which makes it; one with data takes no notice. In the configuration file, which only its owner reads: an
 * environment is seen by every process of the same user, for as long as the server runs.
 */
async function nameAdmin(dataDir: string): Promise<void> {
  const { username, password } = await keycloakAdmin(dataDir);
  const lines = [`bootstrap-admin-username=${username}`, `bootstrap-admin-password=${password}`];
  await writeFile(join(dataDir, 'conf', 'keycloak.conf'), `${lines.join('\n')}\n`, { mode: 0o600 });
}

function fetchDistribution(cache: string, progress: (text: string) => void): Promise<string> {
  return cached({
    root: cache,
    name: `keycloak-${VERSION}`,
    proof: join('lib', 'quarkus-run.jar'),
    progress,
    async make(folder) {
      const mvn = await tool('mvn', 'fetch Keycloak', progress);
      const jar = await tool('jar', 'unpack Keycloak', progress);
      progress('fetching the distribution, 160 MB');
      const artifact = `org.keycloak:keycloak-quarkus-dist:${VERSION}:zip`;
      await fetchBy(mvn, ['-q', '-B', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`]);
      progress('unpacking');
      const zip = join(folder, `keycloak-quarkus-dist-${VERSION}.zip`);
      await run(jar, ['xf', zip], { cwd: folder });
      await rm(zip);
      const unpacked = join(folder, `keycloak-${VERSION}`);
      for (const name of await readdir(unpacked)) await rename(join(unpacked, name), join(folder, name));
      await rm(unpacked, { recursive: true });
    },
  });
}

/** New data is a copy of what the first run left, when there was one: its schema takes Keycloak seconds to make. */
async function makeHome(distribution: string, warm: string | undefined, dataDir: string): Promise<void> {
  await mkdir(join(dataDir, 'conf'), { recursive: true });
  if (warm !== undefined && !(await exists(join(dataDir, 'data')))) {
    await cp(join(warm, 'empty', ADMIN_PASSWORD), join(dataDir, ADMIN_PASSWORD));
    await copyWhole(join(warm, 'empty', 'data'), join(dataDir, 'data'));
  }
  // `lib` is asked for by the start itself, to see that a build was made.
  for (const name of ['lib', 'providers', 'themes']) {
    await rm(join(dataDir, name), { force: true });
    await symlink(join(distribution, name), join(dataDir, name));
  }
}

function javaArgs(distribution: string, home: string): string[] {
  return [
    ...JVM,
    `-Dkc.home.dir=${home}`,
    `-Djboss.server.config.dir=${join(home, 'conf')}`,
    '-cp',
    join(distribution, 'lib', 'quarkus-run.jar'),
    'io.quarkus.bootstrap.runner.QuarkusEntryPoint',
  ];
}
