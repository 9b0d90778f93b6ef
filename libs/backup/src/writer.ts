import { createHash, hash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import {
  BackupFault,
  type CollectionEntry,
  folderOf,
  MANIFEST,
  type Manifest,
  syncFolder,
  UNFINISHED,
  writeDurably,
  writeManifest,
} from './manifest.ts';

const compress = promisify(zstdCompress);
/** Bytes of documents in one part, which is also what is in memory at a time. */
const PART_BYTES = 16 * 1024 * 1024;

export interface BackupWriter {
  readonly folder: string;
  readonly id: string;
  /** Documents (BSON) of a collection, in the order in which they come; a part is on disk before the next is begun. */
  collection(
    entry: Pick<CollectionEntry, 'database' | 'collection' | 'indexes'>,
    documents: AsyncIterable<Uint8Array>,
  ): Promise<CollectionEntry>;
  /** Another file, text or bytes, that may be larger than memory. Gives its size in bytes. */
  file(path: string, content: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>): Promise<number>;
  /** Makes it a backup. Gives the SHA-256 of its manifest, by which all of it can be told from any other. */
  finish(about: Manifest['about']): Promise<string>;
}

export interface WriterOptions {
  kind: Manifest['kind'];
  /** An unfinished backup in the folder is thrown away; without it, it is a BackupFault. */
  again?: boolean;
  /** Bytes of documents in a part. */
  partBytes?: number;
  now?: () => Date;
}

/** Begins a backup in a folder that is empty or not there yet. BackupFault says what else is in it. */
export async function createBackup(
  folder: string,
  { kind, again = false, partBytes = PART_BYTES, now = () => new Date() }: WriterOptions,
): Promise<BackupWriter> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await makeRoom(folder, again);
  const created_at = now().toISOString();
  await noteUnfinished(folder, created_at);
  const manifest: Omit<Manifest, 'format'> = { kind, id: randomUUID(), created_at, collections: [], files: [], about: {} };
  return {
    folder,
    id: manifest.id,
    async collection({ database, collection, indexes }, documents) {
      const name = join(encodeURIComponent(database), encodeURIComponent(collection));
      await mkdir(folderOf(folder, name), { recursive: true, mode: 0o700 });
      const entry: CollectionEntry = { database, collection, documents: 0, indexes, parts: [] };
      for await (const { raw, count } of portions(documents, partBytes)) {
        const file = `${name}.${String(entry.parts.length + 1).padStart(5, '0')}.bson.zst`;
        const packed = await compress(raw);
        await writeDurably(join(folder, file), packed);
        entry.parts.push({ file, documents: count, bytes: packed.length, raw_bytes: raw.length, sha256: hash('sha256', packed) });
        entry.documents += count;
      }
      manifest.collections.push(entry);
      return entry;
    },
    async file(path, content) {
      await mkdir(folderOf(folder, path), { recursive: true, mode: 0o700 });
      const sum = createHash('sha256');
      let bytes = 0;
      await using handle = await open(join(folder, path), 'w', 0o600);
      for await (const chunk of content) {
        const some = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
        sum.update(some);
        bytes += some.length;
        await handle.appendFile(some);
      }
      await handle.datasync();
      manifest.files.push({ file: path, bytes, sha256: sum.digest('hex') });
      return bytes;
    },
    async finish(about) {
      for (const path of new Set(manifest.collections.map(({ database }) => encodeURIComponent(database))))
        await syncFolder(join(folder, path)).catch(() => undefined);
      const text = await writeManifest(folder, { ...manifest, about });
      await rm(join(folder, UNFINISHED));
      return hash('sha256', text);
    },
  };
}

/** Documents put together to about as many bytes as a part has. */
async function* portions(documents: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<{ raw: Buffer; count: number }> {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  for await (const document of documents) {
    waiting.push(document);
    bytes += document.length;
    if (bytes < most) continue;
    yield { raw: Buffer.concat(waiting), count: waiting.length };
    [waiting, bytes] = [[], 0];
  }
  if (waiting.length > 0) yield { raw: Buffer.concat(waiting), count: waiting.length };
}

async function makeRoom(folder: string, again: boolean): Promise<void> {
  const names = await readdir(folder);
  if (names.length === 0) return;
  if (names.includes(MANIFEST)) throw new BackupFault(`${folder} holds a backup already; choose another folder`);
  if (!names.includes(UNFINISHED)) throw new BackupFault(`${folder} is not empty, and no backup; choose another folder`);
  const { pid, since } = await unfinishedIn(folder);
  if (pid !== undefined && isAlive(pid)) throw new BackupFault(`${folder}: process ${pid} is writing a backup there`);
  if (!again)
    throw new BackupFault(`${folder} holds a backup that was begun ${since} and not finished; --again throws it away and begins anew`);
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true });
}

async function noteUnfinished(folder: string, since: string): Promise<void> {
  const path = join(folder, UNFINISHED);
  try {
    await using handle = await open(path, 'wx', 0o600);
    await handle.writeFile(JSON.stringify({ since, pid: process.pid }));
    await handle.datasync();
  } catch (cause) {
    throw new BackupFault(`${path} cannot be made: ${(cause as Error).message}`, { cause });
  }
}

async function unfinishedIn(folder: string): Promise<{ pid: number | undefined; since: string }> {
  const path = join(folder, UNFINISHED);
  const text = await readFile(path, 'utf8').catch(() => '{}');
  try {
    const { pid, since } = JSON.parse(text) as { pid?: number; since?: string };
    return { pid, since: since ?? (await stat(path)).mtime.toISOString() };
  } catch {
    return { pid: undefined, since: 'some time ago' };
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
