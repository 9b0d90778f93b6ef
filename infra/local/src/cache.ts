import { access, cp, mkdir, open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isSameProcess, startedAt } from './processes.ts';

/** Patience with a lock that names nobody yet: two that made the same at once would clear away each other's half. */
const NAMELESS_MS = 5_000;

/** Where engines are kept for every clone of this user: `BIZ_CACHE_DIR`, else `biz-retail` in the XDG cache folder. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env.BIZ_CACHE_DIR || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'biz-retail');
}

/**
 * The folder `name` of the cache, made by `make` when `proof` (a file in it) is not there. It appears whole or not at all: `make` works in
 * a folder beside it, renamed at the end. Two that want the same at once: one makes it, the other waits.
 */
export async function cached(options: CacheEntry): Promise<string> {
  const { root, name, proof, progress } = options;
  const folder = join(root, name);
  if (await exists(join(folder, proof))) return folder;
  await mkdir(root, { recursive: true });
  const unlock = await lock(join(root, `${name}.lock`), () => progress('waiting for another start that installs it'));
  try {
    if (await exists(join(folder, proof))) return folder;
    for (const left of await readdir(root)) {
      if (left.startsWith(`${name}.`) && left.endsWith('.part')) await rm(join(root, left), { recursive: true, force: true }); // of one that was killed
    }
    const half = join(root, `${name}.${process.pid}.part`);
    await mkdir(half, { recursive: true });
    try {
      await options.make(half);
      if (!(await exists(join(half, proof)))) throw new Error(`installing ${name} left no ${proof}`);
      await rm(folder, { recursive: true, force: true }); // only ever a broken one
      await rename(half, folder);
    } finally {
      await rm(half, { recursive: true, force: true });
    }
    return folder;
  } finally {
    await unlock();
  }
}

/** A lock file that names its owner; one whose owner is gone is taken over. Losing a race for it costs double work, never a broken folder. */
async function lock(file: string, waiting: () => void): Promise<() => Promise<void>> {
  const me = JSON.stringify({ pid: process.pid, started: await startedAt(process.pid) });
  for (let told = false; ; ) {
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(me);
      await handle.close();
      return () => unlink(file).catch(() => undefined);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (!(await isHeld(file))) {
      await unlink(file).catch(() => undefined);
      continue;
    }
    if (!told) waiting();
    told = true;
    await pause(300);
  }
}

async function isHeld(file: string): Promise<boolean> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return false;
  if (text === '') {
    // just made by one that a busy machine lets wait, or its maker died before naming itself
    await pause(NAMELESS_MS);
    return (await readFile(file, 'utf8').catch(() => '')) !== '';
  }
  return isSameProcess(JSON.parse(text) as { pid: number; started: string });
}

/** Copies a folder; the copy appears whole or not at all. */
export async function copyWhole(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await rm(`${to}.part`, { recursive: true, force: true });
  await cp(from, `${to}.part`, { recursive: true });
  await rename(`${to}.part`, to);
}

export async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

interface CacheEntry {
  root: string;
  name: string;
  /** A file, relative to the folder, that is there once it is whole. */
  proof: string;
  make: (folder: string) => Promise<void>;
  progress: (text: string) => void;
}
