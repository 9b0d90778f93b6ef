import { readFileSync } from 'node:fs';
import type { RunFile } from '@biz/local';
import { inject } from 'vitest';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Folder that the fleet under test keeps its data, logs and run.json in. */
    localDir: string;
  }
}

let own: string | undefined;

/** Folder of the fleet under test. */
export function localDir(): string {
  return own ?? inject('localDir');
}

/** From now on this file's tests speak to another fleet, which they have started themselves. */
export function useFleet(folder: string): void {
  own = folder;
}

/** Where things are now; read anew each time, for a process that was started again has another pid. */
export function currentRun(): RunFile {
  return JSON.parse(readFileSync(`${localDir()}/run.json`, 'utf8'));
}

/** The pid of a process of the fleet, engines included, as the supervisor noted it; not always ready yet. */
export function pidOf(name: string): number {
  return JSON.parse(readFileSync(`${localDir()}/run/${name}.json`, 'utf8')).pid;
}
