import { readFileSync } from 'node:fs';
import type { RunFile } from '@biz/local';
import { inject } from 'vitest';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Folder that the fleet under test keeps its data, logs and run.json in. */
    localDir: string;
  }
}

/** Folder of the fleet under test. */
export function localDir(): string {
  return inject('localDir');
}

/** Where things are now; read anew each time, for a process that was started again has another pid. */
export function currentRun(): RunFile {
  return JSON.parse(readFileSync(`${localDir()}/run.json`, 'utf8'));
}
