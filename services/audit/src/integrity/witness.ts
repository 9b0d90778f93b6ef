import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What is kept of a checkpoint outside the database. */
export interface WitnessLine {
  log_id: string;
  /** Size of the checkpoint before; the leaves from there on are in `leaf_hashes`. */
  from: number;
  size: number;
  /** Signed note. */
  checkpoint: string;
  /** Base64 of the leaf hashes one after the other: they name the very record when a whole tree was made anew. */
  leaf_hashes: string;
}

/**
 * Appends to the file outside the database, a JSON line each, and has it on disk when it resolves. One write for all lines, in append
 * mode, so that two processes on one file do not mix. In production the path is on write-once storage.
 */
export async function appendWitness(file: string, lines: readonly WitnessLine[]): Promise<void> {
  if (lines.length === 0) return;
  await mkdir(dirname(file), { recursive: true });
  // With a line break before: the last line may be torn by a crash, and nothing may be glued to it.
  const text = lines.map((line) => `\n${JSON.stringify(line)}`).join('');
  await using handle = await open(file, 'a');
  await handle.appendFile(`${text}\n`);
  await handle.datasync();
}

export interface SignedRoot {
  size: number;
  root: Buffer;
}

/** How much of the end of the file is looked at: days of a busy audit, and quick. */
const TAIL_BYTES = 64 * 1024 * 1024;

/** The newest checkpoint of each log near the end of the file; none when there is no file. Their signatures are not looked at. */
export async function newestWitnesses(file: string | undefined): Promise<ReadonlyMap<string, SignedRoot>> {
  const newest = new Map<string, SignedRoot>();
  if (file === undefined) return newest;
  const handle = await open(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return newest;
  for await (const line of lastLines(handle)) {
    const { log_id, size, checkpoint } = parsed(line);
    const root = Buffer.from(checkpoint?.split('\n')[2] ?? '', 'base64');
    if (log_id === undefined || size === undefined || root.length !== 32 || size < (newest.get(log_id)?.size ?? 0)) continue;
    newest.set(log_id, { size, root });
  }
  return newest;
}

/** Disposes of the handle. */
async function* lastLines(handle: FileHandle): AsyncGenerator<string> {
  const { size } = await handle.stat();
  yield* handle.readLines({ start: Math.max(0, size - TAIL_BYTES) });
}

/** A line may be torn, or cut by where the reading begins. */
function parsed(line: string): Partial<WitnessLine> {
  try {
    return JSON.parse(line) as Partial<WitnessLine>;
  } catch {
    return {};
  }
}
