import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cached, cacheFolder, exists } from './cache.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'biz-cache-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const entry = (make: (folder: string) => Promise<void>) => ({
  root,
  name: 'engine-1',
  proof: join('bin', 'engine'),
  progress: () => undefined,
  make,
});
const makeWhole = async (folder: string) => {
  await mkdir(join(folder, 'bin'));
  await writeFile(join(folder, 'bin', 'engine'), 'whole');
};

test('two that want the same at once: one makes it, both get it', async () => {
  let made = 0;
  const make = async (folder: string) => {
    made++;
    await makeWhole(folder);
  };
  const [first, second] = await Promise.all([cached(entry(make)), cached(entry(make))]);
  expect([first, second, made]).toEqual([join(root, 'engine-1'), join(root, 'engine-1'), 1]);
  expect(await readdir(root)).toEqual(['engine-1']);
});

test('a failed make leaves nothing, and the next one makes it', async () => {
  await expect(cached(entry(() => Promise.reject(new Error('no network'))))).rejects.toThrow('no network');
  await expect(cached(entry(async () => undefined))).rejects.toThrow('left no bin/engine');
  expect(await readdir(root)).toEqual([]);
  expect(await exists(join(await cached(entry(makeWhole)), 'bin', 'engine'))).toBe(true);
});

test('what a killed maker left is cleared away, its lock taken over, and a broken folder replaced', async () => {
  await writeFile(join(root, 'engine-1.lock'), JSON.stringify({ pid: process.pid, started: 'another time' }));
  await mkdir(join(root, 'engine-1.77.part'));
  await mkdir(join(root, 'engine-1'));
  await cached(entry(makeWhole));
  expect(await readdir(root)).toEqual(['engine-1']);
});

test('the folder is where the user says, else where XDG says', () => {
  expect(cacheFolder({ BIZ_CACHE_DIR: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
  expect(cacheFolder({ XDG_CACHE_HOME: '/x' })).toBe('/x/biz-retail');
  expect(cacheFolder({ HOME: '/h' })).toMatch(/\.cache\/biz-retail$/);
});
