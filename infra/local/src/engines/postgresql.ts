import { chmod, chown, mkdir, readdir, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { exists } from '../cache.ts';
import { outputOf, run } from '../command.ts';
import { type Engine, portOf } from '../engine.ts';
import { aptInstall, canInstall, which } from '../tools.ts';

/** Where Debian puts the servers, one folder a major version. */
const DEBIAN = '/usr/lib/postgresql';
const USER = 'biz';

/** PostgreSQL as the system has it, or from Debian, in a folder of its own. Tests of the PostgreSQL storage start it; `npm start` does not. */
export const postgresql: Engine = {
  name: 'postgresql',
  version: '12 or later',
  variable: 'POSTGRESQL_URL',
  ports: ['postgresql'],
  address: (ports) => `postgresql://${USER}@127.0.0.1:${portOf(ports, 'postgresql')}/postgres`,
  answers: (address) => speaks(new URL(address)),

  async install({ progress }) {
    const found = await serverFolder();
    if (found !== undefined) return { home: found };
    if (await canInstall()) {
      await aptInstall(['postgresql'], progress);
      const installed = await serverFolder();
      if (installed !== undefined) return { home: installed };
    }
    throw new Error('PostgreSQL is missing, needed to test its storage: on Debian or Ubuntu "sudo apt-get install postgresql"');
  },

  async process({ home, dataDir, ports }) {
    const folder = join(dataDir, 'cluster');
    await mkdir(folder, { recursive: true });
    const as = await otherThanRoot(folder);
    if (!(await exists(join(folder, 'PG_VERSION')))) {
      const [initdb = '', ...args] = [...as, join(home, 'initdb')];
      await run(initdb, [...args, '-D', folder, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-instructions'], { cwd: '/' });
    }
    const [command = '', ...args] = [...as, join(home, 'postgres')];
    return {
      name: 'postgresql',
      layer: 'engines',
      command,
      args: [
        ...[...args, '-D', folder, '-p', String(portOf(ports, 'postgresql'))],
        ...['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'shared_buffers=32MB'],
      ],
      cwd: '/',
      ready: () => postgresql.answers(postgresql.address(ports)),
      readyWithinMs: 120_000,
      stopWithinMs: 15_000,
    };
  },
};

/** The newest of Debian's, else where PATH says. */
async function serverFolder(): Promise<string | undefined> {
  const versions = (await readdir(DEBIAN).catch(() => [])).filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(b) - Number(a));
  for (const version of versions) {
    const folder = join(DEBIAN, version, 'bin');
    if ((await exists(join(folder, 'postgres'))) && (await exists(join(folder, 'initdb')))) return folder;
  }
  const initdb = await which('initdb');
  return initdb === undefined ? undefined : dirname(initdb);
}

/** PostgreSQL refuses to run as root: what is put before its commands, its folder made the other user's and reachable. */
async function otherThanRoot(folder: string): Promise<string[]> {
  if (process.getuid?.() !== 0) return [];
  const [uid, gid] = await idsOf('postgres').catch(() => idsOf('nobody'));
  await chown(folder, uid, gid);
  for (let above = dirname(folder); above.startsWith(`${tmpdir()}/`) || above.includes('/.local'); above = dirname(above)) {
    await chmod(above, (await stat(above)).mode | 0o111);
  }
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--'];
}

async function idsOf(user: string): Promise<[number, number]> {
  const [uid, gid] = await Promise.all([outputOf('id', ['-u', user]), outputOf('id', ['-g', user])]);
  if (!uid || !gid) throw new Error(`there is no user ${user}`);
  return [Number(uid), Number(gid)];
}

/** Whether a server answers the question for encryption (one byte), which it does before it knows who asks. */
function speaks({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port || 5432), timeout: 2_000 });
    const answer = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    // SSLRequest (PostgreSQL frontend/backend protocol, 55.7)
    socket.once('connect', () => socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])));
    socket.once('data', (bytes) => answer(bytes.length === 1));
    socket.once('timeout', () => answer(false));
    socket.once('error', () => answer(false));
  });
}
