import { mkdir, open } from 'node:fs/promises';
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
