import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { signerOf } from '@biz/merkle';

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

/** Secrets of this clone from elsewhere, where there is none of that name. Throws, and takes none, when one is there and is another: nothing is overwritten. */
export async function putSecrets(folder: string, secrets: readonly { name: string; content: Uint8Array }[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const missing: (typeof secrets)[number][] = [];
  for (const secret of secrets) {
    const file = join(folder, secret.name);
    const present = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (present === undefined) missing.push(secret);
    else if (!present.equals(secret.content))
      throw new Error(
        `${file} is there already, and another one; nothing was taken. Is this the right place? Then move ${folder} away first`,
      );
  }
  for (const { name, content } of missing) await writeFile(join(folder, name), content, { mode: 0o600, flag: 'wx' });
}

/** Writes the public key (base64) of a file with an Ed25519 seed into another, for those who verify and must not sign. */
export async function keepPublicKey(seedFile: string, file: string): Promise<void> {
  const seed = Buffer.from((await readFile(seedFile, 'utf8')).trim(), 'base64');
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${signerOf('key', seed).publicKey.toString('base64')}\n`);
}

export interface Secret {
  file: string;
  text: string;
}
