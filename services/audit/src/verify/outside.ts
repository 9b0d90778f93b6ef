import { type FileHandle, open } from 'node:fs/promises';

/** A checkpoint kept outside the database. Log and sizes are what is said beside the note, so they count only once it is opened. */
export interface OutsideEntry {
  /** Line in the file, from 1. */
  line: number;
  log_id: string;
  size: number;
  /** The first of the leaves whose hashes stand beside the note; undefined for a bare note. */
  from: number | undefined;
  read(): Promise<OutsideCheckpoint>;
}

export interface OutsideCheckpoint {
  note: string;
  /** Hashes side by side of the leaves from `from` to before `size`. */
  leaf_hashes: Buffer | undefined;
}

/** The checkpoints kept outside. */
export interface Outside {
  /** Those of a log, in order of where they begin. */
  entries(logId: string): AsyncGenerator<OutsideEntry>;
  logIds(): string[];
  count: number;
  /** Lines that are no checkpoint: torn by a crash while they were written. */
  torn: number;
}

export const nothingOutside: Outside = {
  async *entries() {
    // none
  },
  logIds: () => [],
  count: 0,
  torn: 0,
};

/** Where a checkpoint begins to be of use. */
export function startOf({ from, size }: Pick<OutsideEntry, 'from' | 'size'>): number {
  return from ?? size;
}

/**
 * Opens a file of checkpoints: JSON lines as the service appends them, or bare signed notes one after another, for example as the API gives them.
 * It may be growing: what is there now counts. It is read once here and once for each log, so memory does not grow with it; only
 * checkpoints out of order, as after a log was rolled back, are remembered. Disposing closes it. Throws when it cannot be read.
 */
export async function openOutside(path: string): Promise<Outside & AsyncDisposable> {
  const file = await open(path, 'r');
  try {
    const { size: end } = await file.stat();
    const byLog = new Map<string, { start: number; strays: Place[] }>();
    const seen = { count: 0, torn: 0 };
    for await (const found of placesOf(file, end)) {
      seen[found === 'torn' ? 'torn' : 'count'] += 1;
      if (found === 'torn') continue;
      const log = byLog.get(found.log_id) ?? { start: 0, strays: [] };
      byLog.set(found.log_id, log);
      const { text: _, ...place } = found;
      if (startOf(place) < log.start) log.strays.push(place);
      log.start = Math.max(log.start, startOf(place));
    }
    return {
      entries: (logId) => entriesOf(file, end, logId, byLog.get(logId)?.strays ?? []),
      logIds: () => [...byLog.keys()],
      ...seen,
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A checkpoint's place in the file. */
interface Place {
  line: number;
  log_id: string;
  size: number;
  from: number | undefined;
  at: number;
  length: number;
}

async function* entriesOf(file: FileHandle, end: number, logId: string, strays: readonly Place[]): AsyncGenerator<OutsideEntry> {
  const waiting = strays.toSorted((left, right) => startOf(left) - startOf(right));
  let start = 0;
  for await (const found of placesOf(file, end)) {
    if (found === 'torn' || found.log_id !== logId || startOf(found) < start) continue;
    start = startOf(found);
    while (waiting[0] !== undefined && startOf(waiting[0]) < start) yield strayEntry(file, waiting.shift() as Place);
    yield { ...found, read: () => Promise.resolve(checkpointIn(found.text, found.from)) };
  }
  for (const place of waiting) yield strayEntry(file, place);
}

function strayEntry(file: FileHandle, place: Place): OutsideEntry {
  return {
    ...place,
    read: async () => {
      const bytes = Buffer.alloc(place.length);
      await file.read(bytes, 0, place.length, place.at);
      return checkpointIn(bytes.toString('utf8'), place.from);
    },
  };
}

function checkpointIn(text: string, from: number | undefined): OutsideCheckpoint {
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

type Found = (Place & { text: string }) | 'torn';

/** The checkpoints of the file one after the other, and what is none. */
async function* placesOf(file: FileHandle, end: number): AsyncGenerator<Found> {
  let note: { line: number; at: number; text: string; signed: boolean } | undefined;
  for await (const { text, line, at, length } of linesOf(file, end)) {
    const [isJson, isSignature] = [text.startsWith('{'), text.startsWith('— ')];
    if (note !== undefined && (isJson || (note.signed && !isSignature))) {
      yield notePlace(note);
      note = undefined;
    }
    if (isJson) {
      const parts = parsed(text);
      yield parts === undefined ? 'torn' : { line, at, length, text, log_id: parts.log_id, size: parts.size, from: parts.from };
    } else if (note !== undefined || text.trim() !== '') {
      note ??= { line, at, text: '', signed: false };
      note.text += text;
      note.signed ||= isSignature;
    }
  }
  if (note !== undefined) yield notePlace(note);
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

function notePlace({ line, at, text, signed }: { line: number; at: number; text: string; signed: boolean }): Found {
  const [origin = '', size = ''] = withoutReturns(text).split('\n');
  if (!signed || !/^(0|[1-9][0-9]{0,14})$/.test(size)) return 'torn';
  const place = { line, at, length: Buffer.byteLength(text), from: undefined, size: Number(size), text };
  return { ...place, log_id: origin.slice(origin.lastIndexOf('/') + 1) };
}

/** Notes that went through an editor or a mail may have them. */
function withoutReturns(text: string): string {
  const plain = text.replaceAll('\r\n', '\n');
  return plain.endsWith('\n') ? plain : `${plain}\n`;
}

const NEWLINE = 10;

/** Lines up to a byte, with their line breaks and places; the last one may lack its break. */
async function* linesOf(file: FileHandle, fileEnd: number): AsyncGenerator<{ text: string; line: number; at: number; length: number }> {
  if (fileEnd === 0) return;
  let rest: Buffer = Buffer.alloc(0);
  let at = 0;
  let line = 0;
  const emit = (bytes: Buffer) => {
    line += 1;
    const one = { text: bytes.toString('utf8'), line, at, length: bytes.length };
    at += bytes.length;
    return one;
  };
  for await (const chunk of file.createReadStream({ start: 0, end: fileEnd - 1, autoClose: false, highWaterMark: 1024 * 1024 })) {
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
