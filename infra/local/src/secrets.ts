import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * A secret of this clone, made of 256 random bits at its first use and kept in a file of its own (mode 600). Gives the file and its text.
 * `encoding` is base64url for passwords; keys that are read as bytes are base64.
 */
export async function keptSecret(folder: string, name: string, encoding: 'base64url' | 'base64' = 'base64url'): Promise<Secret> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, name);
  try {
    await writeFile(file, `${randomBytes(32).toString(encoding)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return { file, text: (await readFile(file, 'utf8')).trim() };
}

export interface Secret {
  file: string;
  text: string;
}
