import { createHash, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The key-encryption key: wraps every data key, is never stored beside them. */
export interface Kek {
  /** Short hash of the key: names it in each wrapped key, tells nothing about it. */
  readonly id: string;
  readonly key: KeyObject;
}

const KEY_BYTES = 32;

/**
 * Reads the key-encryption key: 32 bytes, base64, from `value` or else from `file`. With `create` a missing file is
 * made (mode 600); of several processes that start at once, one writes and all read the same key.
 * Throws an Error that names what is wrong (never the key) when it is missing, not 32 bytes, or readable by others.
 */
export async function readKek(options: { file?: string; value?: string; create?: boolean }): Promise<Kek> {
  if (options.value) return kekOf(options.value, 'the given key-encryption key');
  if (!options.file) throw new Error('a key-encryption key is needed: give a file or a value');
  if (options.create) await createOnce(options.file);
  await refuseReadableByOthers(options.file);
  return kekOf(await readFile(options.file, 'utf8'), `the key-encryption key in ${options.file}`);
}

function kekOf(text: string, what: string): Kek {
  const bytes = Buffer.from(text.trim(), 'base64');
  if (bytes.length !== KEY_BYTES) throw new Error(`${what} must be ${KEY_BYTES} bytes in base64`);
  const id = createHash('sha256').update('biz-kek\0').update(bytes).digest('hex').slice(0, 16);
  return { id, key: createSecretKey(bytes) };
}

/** Written aside and linked into place: a file under the final name is always whole, and never replaced. */
async function createOnce(file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(`${randomBytes(KEY_BYTES).toString('base64')}\n`);
    await handle.sync();
    await link(draft, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    await handle.close();
    await unlink(draft);
  }
}

async function refuseReadableByOthers(file: string): Promise<void> {
  const { mode } = await stat(file);
  if (mode & 0o007) throw new Error(`${file} is open to every user of this machine: chmod 600 it`);
}
