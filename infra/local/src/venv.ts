import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { fetchBy, run } from './command.ts';
import { aptInstall, canInstall, tool } from './tools.ts';

export interface VenvOptions {
  /** The cache folder. */
  cache: string;
  /** Name of the environment's folder in it. */
  name: string;
  /** What pip installs, pinned. */
  requirement: string;
  /** A program of it that has to run, with its arguments. */
  proof: readonly [string, ...string[]];
  /** What Python is needed for. */
  why: string;
  progress: (text: string) => void;
}

/** A Python environment with one package in it, in the cache. It holds absolute paths, so it is made where it stays: its proof is written last. */
export async function pythonVenv({ cache, name, requirement, proof, why, progress }: VenvOptions): Promise<string> {
  const python = await tool('python3', why, progress);
  const folder = join(cache, name);
  await cached({
    root: cache,
    name: `${name}.installed`,
    proof: 'done',
    progress,
    async make(mark) {
      progress(`fetching ${requirement}`);
      await makeVenv(python, folder, progress);
      await fetchBy(join(folder, 'bin', 'pip'), ['install', '-q', requirement]);
      const [program, ...args] = proof;
      await run(join(folder, 'bin', program), args);
      await writeFile(join(mark, 'done'), '');
    },
  });
  return folder;
}

/** Debian ships Python without what a virtual environment is made with. */
async function makeVenv(python: string, folder: string, progress: (text: string) => void): Promise<void> {
  const make = () => run(python, ['-m', 'venv', '--clear', folder]);
  await make().catch(async (error: unknown) => {
    if (!(await canInstall())) throw error;
    await aptInstall(['python3-venv'], progress);
    await make();
  });
}
