import { writeFile } from 'node:fs/promises';
import { exists } from './cache.ts';

/** Makes the file of feature flags where there is none, with every flag as its default in code has it. People edit it; it is never written again. */
export async function ensureFlags(file: string): Promise<void> {
  if (await exists(file)) return;
  const { flagsTemplate } = await import('@biz/flags');
  await writeFile(file, flagsTemplate(), { flag: 'wx' });
}
