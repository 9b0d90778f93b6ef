// Entry of `npm start`, `npm test` and the like. Runs on the machine's Node (20 or later) with nothing installed yet: installs the packages when
// they are missing or not those of the lock file, then runs the command on the project's own Node.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const OLDEST_NODE = 20;
const commands = {
  setup: undefined,
  start: 'infra/local/src/start.ts',
  status: 'infra/local/src/status.ts',
  backup: 'infra/local/src/backup.ts',
  restore: 'infra/local/src/restore.ts',
  'dead-letters': 'infra/local/src/dead-letters.ts',
  rebuild: 'infra/local/src/rebuild.ts',
  trace: 'infra/local/src/trace.ts',
  verify: 'infra/local/src/verify.ts',
  test: 'infra/test/run.ts',
  bench: 'bench/src/run.ts',
};

const root = join(fileURLToPath(import.meta.url), '..', '..', '..');
/** Hash of the lock file that the packages were installed from. */
const stamp = join(root, 'node_modules', '.biz-lock-hash');
const [command = '', ...args] = process.argv.slice(2);

process.exitCode = await main().catch((error) => {
  console.error(error.message);
  return 1;
});

async function main() {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    throw new Error(`Node ${OLDEST_NODE} or later is needed, this is ${process.versions.node}: https://nodejs.org`);
  }
  if (!Object.hasOwn(commands, command))
    throw new Error(`usage: node infra/local/bootstrap.mjs ${Object.keys(commands).join('|')} [options]`);
  if (!isInstalled()) await install();
  const script = commands[command];
  if (script === undefined) return 0;
  const node = join(root, 'node_modules', '.bin', 'node');
  return run(node, ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', join(root, script), ...args], { ipc: true });
}

/** Installed from this very lock file; or by hand, and npm's own note of it says the same, but for optional packages of other systems. */
function isInstalled() {
  if (!existsSync(join(root, 'node_modules', '.bin', 'node'))) return false;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash()) return true;
  const note = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(note)) return false;
  const wanted = packagesOf(join(root, 'package-lock.json'));
  const present = packagesOf(note);
  const isThere = ([path, entry]) => {
    if (path === '') return true;
    return present[path] === undefined
      ? entry.optional === true || entry.devOptional === true || entry.peer === true
      : same(present[path], entry);
  };
  return Object.entries(wanted).every(isThere) && Object.keys(present).every((path) => wanted[path] !== undefined);
}

function same(left, right) {
  return left.version === right.version && left.integrity === right.integrity && left.resolved === right.resolved;
}

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}

async function install() {
  const started = Date.now();
  console.log('Installing packages (npm ci) …');
  const beat = process.stderr.isTTY
    ? undefined
    : setInterval(() => console.log(`  … ${Math.round((Date.now() - started) / 1000)} s`), 15_000);
  try {
    const attempt = () => run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { ipc: false });
    // a second time for a network or a registry that failed once; 128 and more is a signal: somebody ended it
    let code = await attempt();
    if (code > 0 && code < 128) code = await attempt();
    if (code !== 0) throw new Error(`npm ci ended with ${code}; its output above says why`);
  } finally {
    clearInterval(beat);
  }
  if (!existsSync(join(root, 'node_modules', '.bin', 'node'))) {
    throw new Error(
      'npm did not install the project\'s Node (package "node"): its install script may be switched off (npm config get ignore-scripts)',
    );
  }
  writeFileSync(stamp, lockHash());
  console.log(`Installed in ${Math.round((Date.now() - started) / 1000)} s`);
}

/** Runs it to its end with our terminal, passing signals on; gives its exit code. The channel tells it when we are killed. */
function run(file, args, { ipc }) {
  // Compiled code kept between runs: half of the work of starting a process of ours.
  const env = { NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'node-compile'), ...process.env };
  const child = spawn(file, args, { cwd: root, env, stdio: ipc ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const pass = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, pass);
  const watch = whenOrphaned(() => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`${file} cannot be run: ${error.message}`)));
    child.once('exit', (code, signal) => {
      clearInterval(watch);
      for (const name of signals) process.off(name, pass);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** npm ends at once when it is told to, and its shell passes no signal on: that the shell is gone is all that reaches us. */
function whenOrphaned(end) {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    end();
  }, 200);
  return watch;
}
