import { open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';

/** Written last: a folder without it is no backup. */
export const MANIFEST = 'manifest.json';
/** Is there while a backup is being written, and stays when that was cut short. */
export const UNFINISHED = 'UNFINISHED';
const FORMAT = 'biz-backup/1';

const count = z.number().int().nonnegative();
/** Inside the folder, and nowhere else whatever a manifest says. */
const file = z.string().regex(/^(?!.*(^|\/)\.\.(\/|$))[^/][^\0]*$/, 'must be a path inside the folder');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const part = z.object({
  /** Path in the folder: zstd of BSON documents one after the other. */
  file,
  documents: count,
  /** Of the file, and of the documents in it. */
  bytes: count,
  raw_bytes: count,
  /** Of the file. */
  sha256,
});

const collection = z.object({
  database: z.string().min(1),
  collection: z.string().min(1),
  documents: count,
  /** As `listIndexes` gives them, without that of `_id`. */
  indexes: z.array(z.record(z.string(), z.unknown())),
  parts: z.array(part),
});

const shape = z.object({
  format: z.literal(FORMAT),
  /** What is in it: `data` opens nothing without `keys`. */
  kind: z.enum(['data', 'keys']),
  id: z.string().min(1),
  created_at: z.iso.datetime(),
  collections: z.array(collection),
  /** Other files. */
  files: z.array(z.object({ file, bytes: count, sha256 })),
  /** Whoever wrote it says more about it here. */
  about: z.record(z.string(), z.unknown()),
});

export type Manifest = z.infer<typeof shape>;
export type CollectionEntry = z.infer<typeof collection>;
export type PartEntry = z.infer<typeof part>;

/** Something is wrong with a backup, or with where it is to go; the message names the file and says what to do. */
export class BackupFault extends Error {
  override name = 'BackupFault';
}

/** The manifest of a finished backup. BackupFault when there is none, or it is not one. */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST);
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new BackupFault(`${path} cannot be read: a folder without it is no backup, or one that was not finished`, { cause });
  });
  const read = shape.safeParse(parsed(text, path));
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new BackupFault(`${path} is not the manifest of a backup: ${issue?.path.join('.') || 'it'}: ${issue?.message}`);
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BackupFault(`${path} is no JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Appears whole, or not at all; gives its text. */
export async function writeManifest(folder: string, manifest: Omit<Manifest, 'format'>): Promise<string> {
  const text = `${JSON.stringify({ format: FORMAT, ...manifest }, null, 1)}\n`;
  const path = join(folder, MANIFEST);
  await writeDurably(`${path}.part`, text);
  await rename(`${path}.part`, path);
  await syncFolder(folder);
  return text;
}

/** A new file, readable by its owner only, on disk when it resolves; gives its size in bytes. BackupFault names the file that cannot be written. */
export async function writeDurably(
  path: string,
  content: string | Uint8Array | AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  onChunk: (chunk: Uint8Array) => void = () => undefined,
): Promise<number> {
  await using handle = await open(path, 'w', 0o600).catch((cause: unknown) => {
    throw notWritten(path, cause);
  });
  let bytes = 0;
  for await (const chunk of typeof content === 'string' || content instanceof Uint8Array ? [content] : content) {
    const some = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    onChunk(some);
    bytes += some.length;
    await handle.appendFile(some).catch((cause: unknown) => {
      throw notWritten(path, cause);
    });
  }
  await handle.datasync().catch((cause: unknown) => {
    throw notWritten(path, cause);
  });
  return bytes;
}

function notWritten(path: string, cause: unknown): BackupFault {
  const room = (cause as NodeJS.ErrnoException).code === 'ENOSPC' ? 'make room, or choose another folder' : 'mend that';
  return new BackupFault(
    `${path} cannot be written (${(cause as Error).message}): what is in the folder is no backup. First ${room}; --again begins anew`,
    { cause },
  );
}

/** Names in a folder are on disk, too. */
export async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path, 'r');
  // Some systems refuse it for folders; there names are as durable as they get.
  await handle.sync().catch(() => undefined);
}

/** Folder of a file in a backup. */
export function folderOf(folder: string, path: string): string {
  return dirname(join(folder, path));
}
