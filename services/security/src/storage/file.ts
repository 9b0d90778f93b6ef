import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { AppError } from '@biz/errors';
import { newId } from '@biz/service';
import { anonymous, concerns, eventOf, matches, newestFirst, type Place, pageOf, placeOf, textOf } from './event.ts';
import type { Anonymization, AuditLogStorage, EventPage, EventQuery, PageRequest, StoredEvent } from './port.ts';

export interface FileOptions {
  readonly folder: string;
  /** Bytes after which a file is closed and the next one begun. */
  readonly maxBytes: number;
}

const ACTIVE = 'security-events.ndjson';
const CLOSED = /^security-events\.[0-9a-f-]{36}\.ndjson$/;

/**
 * Security events in files of this machine, one JSON object a line, a new file when one is full. Synced before `save` resolves, which no library
 * for rotating files does. An event that is saved again stands twice and is read once. Lists read every file. Several processes may have the folder
 * open; the lease of who forwards lets one write at a time.
 */
export async function openFileStorage({ folder, maxBytes }: FileOptions): Promise<AuditLogStorage> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) if (name.endsWith('.part')) await rm(join(folder, name), { force: true }); // of a rewrite that was killed
  const active = join(folder, ACTIVE);
  let file = await openActive(active);
  let turn: Promise<unknown> = Promise.resolve();
  /** One after the other, whoever asks. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work);
    turn = result.catch(() => undefined);
    return result;
  };
  return {
    name: 'file',
    save: (events) =>
      inTurn(async () => {
        if (events.length === 0) return [];
        file = await reopened(file, active);
        await file.appendFile(events.map((event) => `${textOf(event)}\n`).join(''));
        await file.datasync();
        if ((await file.stat()).size < maxBytes) return [];
        await file.close();
        // ids sort by time, and so do the files
        await rename(active, join(folder, `security-events.${newId()}.ndjson`));
        file = await openActive(active);
        await syncFolder(folder);
        return [];
      }),
    find: (query, page) => find(folder, query, page),
    anonymize: (what) =>
      inTurn(async () => {
        const ids = new Set<string>();
        for (const name of await filesOf(folder)) await rewrite(join(folder, name), what, ids);
        await syncFolder(folder);
        await file.close();
        file = await openActive(active);
        return ids.size;
      }),
    async [Symbol.asyncDispose]() {
      await inTurn(() => file.close());
    },
  };
}

/** Ready to be appended to: a line that a crash cut off is ended, and is then no event. */
async function openActive(path: string): Promise<FileHandle> {
  const file = await open(path, 'a+', 0o600);
  const { size } = await file.stat();
  if (size > 0) {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
    if (buffer[0] !== 0x0a) await file.appendFile('\n');
  }
  return file;
}

/**
 * The file that has the name now. Since this process wrote last another one may have closed it, or put a rewritten one in its place: what is
 * appended to the former would be gone.
 */
async function reopened(file: FileHandle, path: string): Promise<FileHandle> {
  const [held, named] = await Promise.all([file.stat(), stat(path).catch(ignoreAbsent)]);
  if (held.ino === named?.ino && held.dev === named.dev) return file;
  await file.close();
  return openActive(path);
}

function ignoreAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return [...names.filter((name) => CLOSED.test(name)).sort(), ...names.filter((name) => name === ACTIVE)];
}

/** The events of a file, line by line; what is no event (a cut line) is left out. */
async function* eventsIn(path: string): AsyncGenerator<StoredEvent> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const event = eventOf(line);
    if (event) yield event;
  }
}

/** The events of all files. One that is closed while others are read has another name then, and is read by that. */
async function* eventsOf(folder: string): AsyncGenerator<StoredEvent> {
  const read = new Set<string>();
  for (;;) {
    const names = (await filesOf(folder)).filter((name) => !read.has(name));
    if (names.length === 0) return;
    for (const name of names) {
      read.add(name);
      try {
        yield* eventsIn(join(folder, name));
      } catch (error) {
        if (name !== ACTIVE || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  }
}

/** Keeps no more of all files in memory than two pages. */
async function find(folder: string, query: EventQuery, page: PageRequest): Promise<EventPage> {
  const after: Place | undefined = page.after === undefined ? undefined : placeOf(page.after);
  let best = new Map<string, StoredEvent>();
  const trim = () => {
    const sorted = [...best.values()].sort(newestFirst).slice(0, page.size + 1);
    best = new Map(sorted.map((event) => [event.event_id, event]));
    return sorted;
  };
  for await (const event of eventsOf(folder)) {
    if (page.deadline && Date.now() > page.deadline.getTime()) throw new AppError('timeout', 'The files could not be read in time.');
    if (!matches(event, query) || (after && newestFirst(after, event) >= 0)) continue;
    if (!best.has(event.event_id)) best.set(event.event_id, event);
    if (best.size > 2 * (page.size + 1)) trim();
  }
  return pageOf(trim(), page.size);
}

/** Writes a file anew without what is personal in the events concerned, and adds their ids; it takes the place of the old one at once. */
async function rewrite(path: string, what: Anonymization, ids: Set<string>): Promise<void> {
  const part = `${path}.part`;
  const copy = await open(part, 'w', 0o600);
  let changed = false;
  try {
    let lines: string[] = [];
    for await (const event of eventsIn(path)) {
      const clear = !event.anonymized && concerns(event, what);
      if (clear) ids.add(event.event_id);
      changed ||= clear;
      lines.push(`${textOf(clear ? { ...event, ...anonymous } : event)}\n`);
      if (lines.length >= 1_000) {
        await copy.appendFile(lines.join(''));
        lines = [];
      }
    }
    await copy.appendFile(lines.join(''));
    await copy.sync();
  } finally {
    await copy.close();
  }
  if (changed) await rename(part, path);
  else await rm(part);
}

/** New names are lost in a crash of the machine until their folder was synced. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
