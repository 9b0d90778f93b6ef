import { createHash, hash, randomUUID } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
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
/** Of this process. A process id alone comes again: in containers all of them are 1. */
const writer = randomUUID();

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
  for (const name of await assertRoom(folder, again)) await rm(join(folder, name), { recursive: true, force: true });
  // one that was there may be open to others; names tell something, too. A mount of somebody else's stays as it is
  await chmod(folder, 0o700).catch(() => undefined);
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
      const bytes = await writeDurably(join(folder, path), content, (chunk) => sum.update(chunk));
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

/**
 * Whether a backup can be begun in a folder. Gives the names in it that `createBackup` throws away; BackupFault says what is there, and what to
 * do.
 */
export async function assertRoom(folder: string, again = false): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new BackupFault(`${folder} cannot be read: ${error.message}`, { cause: error });
  });
  if (names.length === 0) return [];
  if (names.includes(MANIFEST)) throw new BackupFault(`${folder} holds a backup already; choose another folder`);
  if (!names.includes(UNFINISHED)) throw new BackupFault(`${folder} is not empty, and no backup; choose another folder`);
  const { since, by } = await unfinishedIn(folder);
  if (by !== undefined && isAlive(by)) throw new BackupFault(`${folder}: process ${by.pid} is writing a backup there`);
  if (again) return names;
  const where = by === undefined || by.host === hostname() ? '' : ` (on ${by.host}: look whether it is still at work there)`;
  throw new BackupFault(
    `${folder} holds a backup that was begun ${since} and not finished${where}; --again throws it away and begins anew`,
  );
}

interface Writer {
  pid: number;
  host: string;
  writer: string;
}

async function noteUnfinished(folder: string, since: string): Promise<void> {
  const path = join(folder, UNFINISHED);
  const by: Writer = { pid: process.pid, host: hostname(), writer };
  try {
    await using handle = await open(path, 'wx', 0o600);
    await handle.writeFile(JSON.stringify({ since, ...by }));
    await handle.datasync();
  } catch (cause) {
    throw new BackupFault(`${path} cannot be made: ${(cause as Error).message}`, { cause });
  }
}

async function unfinishedIn(folder: string): Promise<{ by: Writer | undefined; since: string }> {
  const path = join(folder, UNFINISHED);
  const text = await readFile(path, 'utf8').catch(() => '{}');
  try {
    const { since = (await stat(path)).mtime.toISOString(), pid, host = hostname(), writer: of = '' } = JSON.parse(text);
    return { since, by: Number.isSafeInteger(pid) ? { pid, host, writer: of } : undefined };
  } catch {
    return { by: undefined, since: 'some time ago' };
  }
}

/** As far as it can be seen from here: of another machine's processes nothing can. */
function isAlive({ pid, host, writer: of }: Writer): boolean {
  if (host !== hostname()) return false;
  if (pid === process.pid) return of === writer;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
