import { createHash, hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { BackupFault, type CollectionEntry, MANIFEST, type Manifest, type PartEntry, readManifest } from './manifest.ts';

const decompress = promisify(zstdDecompress);
/** A BSON document has at least its length and its end. */
const LEAST_DOCUMENT = 5;

export interface Backup {
  readonly folder: string;
  readonly manifest: Manifest;
  /** SHA-256 of the manifest. */
  readonly digest: string;
  /** The documents of a collection, a part at a time, each part's hash checked before anything of it is given. */
  parts(entry: CollectionEntry): AsyncGenerator<Uint8Array[]>;
  /** Hash of every file against the manifest's. BackupFault names the first that differs or is missing. */
  check(onProgress?: (done: number, total: number) => void): Promise<void>;
  /** What is in the folder and no part of the backup; nothing of it is ever read. */
  strays(): Promise<string[]>;
  /** Path of another file of the backup; undefined when it has none of that name. */
  pathOf(file: string): string | undefined;
}

/**
 * Opens a finished backup. `digest` is the manifest's SHA-256 where it was noted when the backup was made: BackupFault when it is another
 * one, or `kind` is.
 */
export async function openBackup(folder: string, expected: { kind?: Manifest['kind']; digest?: string | undefined } = {}): Promise<Backup> {
  const manifest = await readManifest(folder);
  const digest = hash('sha256', await readFile(join(folder, MANIFEST)));
  if (expected.kind !== undefined && manifest.kind !== expected.kind)
    throw new BackupFault(`${folder} is a backup of ${manifest.kind}, not of ${expected.kind}`);
  if (expected.digest !== undefined && digest !== expected.digest)
    throw new BackupFault(`${join(folder, MANIFEST)} is not the one that was noted: its SHA-256 is ${digest}`);
  return {
    folder,
    manifest,
    digest,
    async *parts(entry) {
      for (const part of entry.parts) yield await documentsOf(folder, part);
    },
    async check(onProgress) {
      const files = [...manifest.collections.flatMap(({ parts }) => parts), ...manifest.files];
      const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
      let done = 0;
      for (const { file, bytes, sha256 } of files) {
        const found = await sumOf(join(folder, file));
        if (found.bytes !== bytes || found.sha256 !== sha256) throw differs(folder, file);
        done += bytes;
        onProgress?.(done, total);
      }
    },
    async strays() {
      const own = new Set([...manifest.collections.flatMap(({ parts }) => parts), ...manifest.files].map(({ file }) => join(folder, file)));
      const found = await readdir(folder, { recursive: true, withFileTypes: true });
      const files = found.filter((one) => !one.isDirectory()).map(({ parentPath, name }) => join(parentPath, name));
      return files.filter((path) => !own.has(path) && path !== join(folder, MANIFEST)).sort();
    },
    pathOf: (file) => (manifest.files.some((one) => one.file === file) ? join(folder, file) : undefined),
  };
}

async function documentsOf(folder: string, { file, bytes, raw_bytes, documents, sha256 }: PartEntry): Promise<Uint8Array[]> {
  const path = join(folder, file);
  const packed = await readFile(path).catch((cause: unknown) => {
    throw new BackupFault(`${path} cannot be read: ${(cause as Error).message}`, { cause });
  });
  if (packed.length !== bytes || hash('sha256', packed) !== sha256) throw differs(folder, file);
  const raw = await decompress(packed, { maxOutputLength: raw_bytes + 1 }).catch((cause: unknown) => {
    throw new BackupFault(`${path} is not what its manifest says: ${(cause as Error).message}`, { cause });
  });
  const found = split(raw);
  if (found === undefined || found.length !== documents || raw.length !== raw_bytes) throw differs(folder, file);
  return found;
}

/** BSON documents that stand one after the other: each begins with its length. */
function split(raw: Buffer): Uint8Array[] | undefined {
  const documents: Uint8Array[] = [];
  for (let at = 0; at < raw.length; ) {
    const length = at + 4 <= raw.length ? raw.readInt32LE(at) : 0;
    if (length < LEAST_DOCUMENT || at + length > raw.length) return undefined;
    documents.push(raw.subarray(at, at + length));
    at += length;
  }
  return documents;
}

async function sumOf(path: string): Promise<{ bytes: number; sha256: string }> {
  const sum = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      sum.update(chunk as Buffer);
      bytes += (chunk as Buffer).length;
    }
  } catch (cause) {
    throw new BackupFault(`${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  return { bytes, sha256: sum.digest('hex') };
}

function differs(folder: string, file: string): BackupFault {
  return new BackupFault(
    `${join(folder, file)} is not what the backup was made of: it was changed or damaged. Nothing is restored from it; take another backup`,
  );
}
