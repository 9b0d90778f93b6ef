import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { WitnessLine } from '../integrity/witness.ts';

/** Sizes of logs by their id. */
export type Sizes = ReadonlyMap<string, number>;

/** Lines of a file of checkpoints that are about no more than these sizes; torn lines are left out. */
export async function* linesUpTo(file: string, sizes: Sizes): AsyncGenerator<string> {
  for await (const { text, line } of witnessLines(file)) {
    if (line.size <= (sizes.get(line.log_id) ?? 0)) yield `${text}\n`;
  }
}

/** The newest checkpoint of each log that is beyond these sizes, in a file of checkpoints; empty when there is no such file. */
export async function beyond(file: string, sizes: Sizes): Promise<Map<string, WitnessLine>> {
  const found = new Map<string, WitnessLine>();
  if (!(await isThere(file))) return found;
  for await (const { line } of witnessLines(file)) {
    if (line.size <= (sizes.get(line.log_id) ?? 0) || line.size < (found.get(line.log_id)?.size ?? 0)) continue;
    found.set(line.log_id, { ...line, leaf_hashes: '' });
  }
  return found;
}

export function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function* witnessLines(file: string): AsyncGenerator<{ text: string; line: WitnessLine }> {
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    const line = parsed(text);
    if (line !== undefined) yield { text, line };
  }
}

function parsed(text: string): WitnessLine | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const line = JSON.parse(text) as Partial<WitnessLine>;
    return typeof line.log_id === 'string' && Number.isSafeInteger(line.size) && typeof line.checkpoint === 'string'
      ? (line as WitnessLine)
      : undefined;
  } catch {
    return undefined;
  }
}
