import { type FileHandle, open } from 'node:fs/promises';

/** A checkpoint kept outside the database, where it is in its file. Log and sizes are what is said beside the note, so they count only once it is opened. */
export interface OutsideEntry {
  /** Line in the file, from 1. */
  line: number;
  log_id: string;
  size: number;
  /** The first of the leaves whose hashes stand beside the note; undefined for a bare note. */
  from: number | undefined;
  /** Bytes of it in the file. */
  at: number;
  length: number;
}

export interface OutsideCheckpoint {
  note: string;
  /** Hashes side by side of the leaves from `from` to before `size`. */
  leaf_hashes: Buffer | undefined;
}

/** The checkpoints kept outside, by log: bounded memory, whatever their number, since only places in the file are kept. */
export interface Outside {
  entries(logId: string): readonly OutsideEntry[];
  logIds(): string[];
  count: number;
  /** Lines that are no checkpoint: torn by a crash while they were written. */
  torn: number;
  read(entry: OutsideEntry): Promise<OutsideCheckpoint>;
}

export const nothingOutside: Outside = {
  entries: () => [],
  logIds: () => [],
  count: 0,
  torn: 0,
  read: () => Promise.reject(new Error('nothing is kept outside')),
};

/**
 * Opens a file of checkpoints: JSON lines as the service appends them, or bare signed notes one after another, for example as the API gives them.
 * It may be growing. Disposing closes it. Throws when it cannot be read.
 */
export async function openOutside(path: string): Promise<Outside & AsyncDisposable> {
  const file = await open(path, 'r');
  try {
    const index = await indexOf(file);
    const byLog = Map.groupBy(index.entries, ({ log_id }) => log_id);
    return {
      entries: (logId) => byLog.get(logId) ?? [],
      logIds: () => [...byLog.keys()],
      count: index.entries.length,
      torn: index.torn,
      read: (entry) => readEntry(file, entry),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readEntry(file: FileHandle, { at, length, from }: OutsideEntry): Promise<OutsideCheckpoint> {
  const bytes = Buffer.alloc(length);
  await file.read(bytes, 0, length, at);
  const text = bytes.toString('utf8');
  if (from === undefined) return { note: withoutReturns(text), leaf_hashes: undefined };
  const { checkpoint, leaf_hashes } = JSON.parse(text) as Line;
  return { note: checkpoint, leaf_hashes: Buffer.from(leaf_hashes, 'base64') };
}

interface Line {
  log_id: string;
  from: number;
  size: number;
  checkpoint: string;
  leaf_hashes: string;
}

interface Index {
  entries: OutsideEntry[];
  torn: number;
}

async function indexOf(file: FileHandle): Promise<Index> {
  const index: Index = { entries: [], torn: 0 };
  let note: { line: number; at: number; text: string; signed: boolean } | undefined;
  const finishNote = () => {
    if (note !== undefined) addNote(index, note);
    note = undefined;
  };
  for await (const { text, line, at, length } of linesOf(file)) {
    if (text.startsWith('{')) {
      finishNote();
      addLine(index, text, { line, at, length });
      continue;
    }
    const isSignature = text.startsWith('— ');
    if (note?.signed && !isSignature) finishNote();
    if (note === undefined && text.trim() === '') continue;
    note ??= { line, at, text: '', signed: false };
    note.text += text;
    note.signed ||= isSignature;
  }
  finishNote();
  return index;
}

function addLine(index: Index, text: string, place: Pick<OutsideEntry, 'line' | 'at' | 'length'>): void {
  const line = parsed(text);
  if (line === undefined) {
    index.torn += 1;
    return;
  }
  index.entries.push({ ...place, log_id: line.log_id, size: line.size, from: line.from });
}

function parsed(text: string): Line | undefined {
  try {
    const line = JSON.parse(text) as Partial<Line>;
    const fits =
      typeof line.log_id === 'string' &&
      isSize(line.from) &&
      isSize(line.size) &&
      (line.from as number) <= (line.size as number) &&
      typeof line.checkpoint === 'string' &&
      typeof line.leaf_hashes === 'string';
    return fits ? (line as Line) : undefined;
  } catch {
    return undefined;
  }
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function addNote(index: Index, { line, at, text, signed }: { line: number; at: number; text: string; signed: boolean }): void {
  const [origin = '', size = ''] = withoutReturns(text).split('\n');
  if (!signed || !/^(0|[1-9][0-9]{0,14})$/.test(size)) {
    index.torn += 1;
    return;
  }
  const entry = { line, at, length: Buffer.byteLength(text), from: undefined, size: Number(size) };
  index.entries.push({ ...entry, log_id: origin.slice(origin.lastIndexOf('/') + 1) });
}

/** Notes that went through an editor or a mail may have them. */
function withoutReturns(text: string): string {
  const plain = text.replaceAll('\r\n', '\n');
  return plain.endsWith('\n') ? plain : `${plain}\n`;
}

const NEWLINE = 10;

/** Lines with their line breaks and places; the last one may lack its break. */
async function* linesOf(file: FileHandle): AsyncGenerator<{ text: string; line: number; at: number; length: number }> {
  let rest: Buffer = Buffer.alloc(0);
  let at = 0;
  let line = 0;
  const emit = (bytes: Buffer) => {
    line += 1;
    const one = { text: bytes.toString('utf8'), line, at, length: bytes.length };
    at += bytes.length;
    return one;
  };
  for await (const chunk of file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1024 * 1024 })) {
    rest = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
    let from = 0;
    for (let end = rest.indexOf(NEWLINE, from); end >= 0; end = rest.indexOf(NEWLINE, from)) {
      yield emit(rest.subarray(from, end + 1));
      from = end + 1;
    }
    rest = rest.subarray(from);
  }
  if (rest.length > 0) yield emit(rest);
}
