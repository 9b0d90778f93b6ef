import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { cached, exists } from '../cache.ts';
import { outputOf, run } from '../command.ts';
import { type Engine, type InstallContext, portOf } from '../engine.ts';
import { aptInstall, canInstall, tool, which } from '../tools.ts';
import { pythonVenv } from '../venv.ts';

const VERSION = '0.5.3-beta.196';
const PYTHON_VERSION = '0.7.0b3';
/** The oldest cargo that the crate was built with. */
const OLDEST_CARGO = [1, 85] as const;
const PROBE_MS = 300;

/**
 * A MongoDB: `mongod` when it is on PATH, else secantusd-rs (a MongoDB-compatible server on WiredTiger) built by cargo, else the same
 * server's Python wheel. See docs/decisions for why an embedded server.
 */
export const mongodb: Engine = {
  name: 'mongodb',
  version: VERSION,
  variable: 'MONGODB_URL',
  ports: ['mongodb'],
  address: (ports) => `mongodb://127.0.0.1:${portOf(ports, 'mongodb')}`,

  async answers(address) {
    const client = new MongoClient(address, { serverSelectionTimeoutMS: PROBE_MS, connectTimeoutMS: PROBE_MS });
    try {
      await client.connect();
      await client.db('admin').command({ ping: 1 });
      return true;
    } finally {
      await client.close();
    }
  },

  async install(context) {
    const mongod = await which('mongod');
    if (mongod !== undefined) return { home: mongod };
    const reason = await whyNoBuild(context);
    if (reason === undefined) return { home: join(await build(context), 'bin', 'secantusd-rs') };
    context.progress(`${reason}; taking the Python wheel instead`);
    return { home: join(await installWheel(context), 'bin', 'secantusd-py') };
  },

  async process({ home, dataDir, ports }) {
    const folder = join(dataDir, home.endsWith('mongod') ? 'mongod' : 'secantus');
    await mkdir(folder, { recursive: true });
    return {
      name: 'mongodb',
      layer: 'engines',
      command: home,
      args: home.endsWith('mongod') ? mongodArgs(folder, portOf(ports, 'mongodb')) : secantusArgs(home, folder, portOf(ports, 'mongodb')),
      ready: () => mongodb.answers(mongodb.address(ports)),
      readyWithinMs: 120_000,
      stopWithinMs: 15_000,
    };
  },
};

function mongodArgs(folder: string, port: number): string[] {
  return ['--dbpath', folder, '--port', String(port), '--bind_ip', '127.0.0.1'];
}

/** Without `--sync-on-commit` acknowledged writes are lost on a kill, even with `j: true`. The Python server syncs by its own setting. */
function secantusArgs(home: string, folder: string, port: number): string[] {
  const common = ['--host', '127.0.0.1', '--port', String(port), '--storage-path', folder, '--sync-on-commit'];
  return home.endsWith('-rs') ? [...common, '--cache-size', '512MB', '--log-file-max', '16MB', '--log-level', 'WARNING'] : common;
}

/** Why the server cannot be built here, or undefined when it can (or need not, being in the cache). */
async function whyNoBuild({ cache, progress }: InstallContext): Promise<string | undefined> {
  if (await exists(join(cache, `mongodb-${VERSION}`, 'bin', 'secantusd-rs'))) return undefined;
  const version = /(\d+)\.(\d+)/.exec((await outputOf('cargo', ['--version'])) ?? '');
  if (version === null) return 'cargo (https://rustup.rs) is missing';
  const [major, minor] = [Number(version[1]), Number(version[2])];
  if (major < OLDEST_CARGO[0] || (major === OLDEST_CARGO[0] && minor < OLDEST_CARGO[1])) {
    return `cargo ${major}.${minor} is older than ${OLDEST_CARGO.join('.')}`;
  }
  try {
    await tool('cmake', 'build the MongoDB-compatible server', progress);
    await tool('cc', 'build the MongoDB-compatible server', progress);
    const zlib = ['/usr/include/zlib.h', '/usr/local/include/zlib.h', '/opt/homebrew/include/zlib.h'];
    if (process.platform === 'linux' && !(await Promise.all(zlib.map(exists))).includes(true)) {
      if (!(await canInstall())) return 'zlib.h is missing (on Debian or Ubuntu "sudo apt-get install zlib1g-dev")';
      await aptInstall(['zlib1g-dev'], progress);
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function build({ cache, progress }: InstallContext): Promise<string> {
  return cached({
    root: cache,
    name: `mongodb-${VERSION}`,
    proof: join('bin', 'secantusd-rs'),
    progress,
    async make(folder) {
      const started = Date.now();
      let crates = 0;
      const say = (now: string) => {
        const minutes = ((Date.now() - started) / 60_000).toFixed(1);
        progress(`building once, about 5 min on 2 cores: ${minutes} min, ${crates} parts, ${now}`);
      };
      say('fetching');
      let now = 'fetching';
      const beat = setInterval(() => say(now), 5_000);
      const target = join(folder, 'target');
      const args = [
        'install',
        'secantus-mdb',
        '--version',
        VERSION,
        '--locked',
        '--ignore-rust-version',
        '--root',
        folder,
        '--target-dir',
        target,
      ];
      try {
        await run('cargo', args, {
          env: { CARGO_TERM_COLOR: 'never', CARGO_TERM_PROGRESS_WHEN: 'never', CARGO_NET_RETRY: '10' },
          onLine(line) {
            const part = /^Compiling (\S+)/.exec(line)?.[1];
            if (part === undefined) return;
            crates++;
            now = `now ${part}`;
          },
        });
        await rm(target, { recursive: true });
      } finally {
        clearInterval(beat);
      }
    },
  });
}

function installWheel({ cache, progress }: InstallContext): Promise<string> {
  return pythonVenv({
    ...{ cache, progress, name: `mongodb-python-${PYTHON_VERSION}`, requirement: `SecantusDB==${PYTHON_VERSION}` },
    proof: ['secantusd-py', '--help'],
    why: 'run the MongoDB-compatible server (cargo would do as well)',
  });
}
