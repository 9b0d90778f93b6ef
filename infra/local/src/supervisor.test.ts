import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@biz/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noteProcess, startedAt } from './processes.ts';
import { AlreadyRunning, createSupervisor, type News, type ProcessSpec } from './supervisor.ts';

let folder: string;
let news: News[];
const say = (one: News) => news.push(one);
const folders = () => ({ logs: join(folder, 'logs'), run: join(folder, 'run') });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-supervisor-'));
  news = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a process that is killed comes back, is said, and has a new pid', async () => {
  await using supervisor = await createSupervisor({ folders: folders(), say });
  const child = await supervisor.start(script('worker', `${READY} setInterval(() => {}, 1000);`));
  expect(child.address).toBe('127.0.0.1:1');
  const first = child.pid as number;
  process.kill(first, 'SIGKILL');
  await until(() => child.restarts === 1, { what: 'the restart' });
  expect(child.pid).not.toBe(first);
  expect(news.map((one) => one.event)).toEqual(['died', 'back']);
});

test('a process that was started again has its pid at once, and is said to take requests when it does', async () => {
  await using supervisor = await createSupervisor({ folders: folders(), say });
  const hold = join(folder, 'hold');
  const wait = `const wait = setInterval(() => { if (!require('node:fs').existsSync(${JSON.stringify(hold)})) { ${READY} clearInterval(wait); } }, 10);`;
  const child = await supervisor.start(script('slow', `${wait} setInterval(() => {}, 1000);`));
  const first = child.pid as number;
  expect(child.readyPid).toBe(first);
  await writeFile(hold, '');
  process.kill(first, 'SIGKILL');
  await until(() => child.pid !== undefined && child.pid !== first, { what: 'the next process' });
  expect(child.readyPid).toBeUndefined();
  await rm(hold);
  await until(() => child.restarts === 1, { what: 'the restart' });
  expect(child.readyPid).toBe(child.pid);
});

test('layers are stopped from the gateway to the engines, and no process is left', async () => {
  const order = join(folder, 'order');
  const supervisor = await createSupervisor({ folders: folders(), say });
  const body = (name: string) => `
    const fs = require('node:fs');
    const grandchild = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    fs.writeFileSync(${JSON.stringify(folder)} + '/${name}.grandchild', String(grandchild.pid));
    process.on('SIGTERM', () => { fs.appendFileSync(${JSON.stringify(order)}, '${name} '); process.exit(0); });
    ${READY}`;
  for (const [name, layer] of [
    ['e', 'engines'],
    ['t', 'telemetry'],
    ['s', 'services'],
    ['g', 'gateway'],
  ] as const) {
    await supervisor.start({ ...script(name, body(name)), layer });
  }
  const pids = [...supervisor.processes.values()].map((member) => member.pid as number);
  await supervisor.stop();
  expect(await readFile(order, 'utf8')).toBe('g s t e ');
  for (const name of ['e', 't', 's', 'g']) pids.push(Number(await readFile(join(folder, `${name}.grandchild`), 'utf8')));
  await until(async () => (await Promise.all(pids.map(startedAt))).every((at) => at === undefined), { what: 'all to be gone' });
});

test('a process that does not listen to SIGTERM is forced', async () => {
  const supervisor = await createSupervisor({ folders: folders(), say });
  const child = await supervisor.start({
    ...script('deaf', `process.on('SIGTERM', () => {}); ${READY} setInterval(() => {}, 1000);`),
    stopWithinMs: 100,
  });
  const pid = child.pid as number;
  await supervisor.stop();
  expect(await startedAt(pid)).toBeUndefined();
  expect(news).toEqual([{ event: 'forced', name: 'deaf' }]);
});

test('a process that ends while starting fails the start with the end of its log', async () => {
  await using supervisor = await createSupervisor({ folders: folders(), say });
  const start = supervisor.start(script('broken', `console.error('port 1 is in use'); process.exit(3);`));
  await expect(start).rejects.toThrow(/broken ended while starting \(exit code 3\); see .*broken\.log\n\s+port 1 is in use/);
});

test('one that fails again and again is tried with growing pauses until it is stopped', async () => {
  await using supervisor = await createSupervisor({ folders: folders(), say });
  const flag = join(folder, 'fail');
  const child = await supervisor.start(
    script('flaky', `if (require('node:fs').existsSync(${JSON.stringify(flag)})) process.exit(1); ${READY} setInterval(() => {}, 1000);`),
  );
  await writeFile(flag, '');
  process.kill(child.pid as number, 'SIGKILL');
  await until(() => news.filter((one) => one.event === 'failed').length >= 2, { what: 'two failed tries' });
  const waits = news.flatMap((one) => ('waitMs' in one ? [one.waitMs] : []));
  expect(waits).toEqual([...waits].sort((a, b) => a - b));
  await rm(flag);
  await until(() => child.restarts === 1, { what: 'the restart' });
});

test('a second supervisor is refused with the pid of the first', async () => {
  await using _first = await createSupervisor({ folders: folders(), say });
  await expect(createSupervisor({ folders: folders(), say })).rejects.toThrow(AlreadyRunning);
});

test('what a killed supervisor left running is ended by the next; a pid that another process has now is left alone', async () => {
  const left = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
  const run = folders().run;
  await noteProcess(run, 'left', left.pid as number);
  await mkdir(run, { recursive: true });
  await writeFile(join(run, 'reused.json'), JSON.stringify({ name: 'reused', pid: stranger.pid, started: '1' }));
  await writeFile(join(run, 'supervisor.json'), JSON.stringify({ name: 'supervisor', pid: 4_000_000, started: '1' }));
  await using supervisor = await createSupervisor({ folders: folders(), say });
  expect(supervisor.leftovers).toEqual(['left']);
  expect(await startedAt(left.pid as number)).toBeUndefined();
  expect(await startedAt(stranger.pid as number)).toBeDefined();
  stranger.kill('SIGKILL');
});

const READY = `process.send({ ready: true, address: '127.0.0.1:1' }); process.on('disconnect', () => process.exit(0));`;

function script(name: string, body: string): ProcessSpec {
  return {
    name,
    layer: 'services',
    command: process.execPath,
    args: ['-e', body],
    ready: 'ipc',
    readyWithinMs: 60_000,
    stopWithinMs: 60_000,
  };
}
