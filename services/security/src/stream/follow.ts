import type { Entries, Item } from './entries.ts';
import { type Follower, type LiveEntry, readAtOnce } from './hub.ts';
import { type Bookmark, bookmarkText, type Position } from './position.ts';
import { sseComment, sseText } from './sse.ts';

/** Events in one text: with the longest of each it still is less than a message may be. */
const inOneText = 50;

export interface StreamOptions {
  readonly entries: Pick<Entries, 'between' | 'items'>;
  readonly follower: Follower;
  /** Where the client left off; absent for one that begins. */
  readonly bookmark?: Bookmark;
  /** Whether the caller may see events of a company, or of none. */
  readonly sees: (companyId: string | null) => boolean;
  /** Type and JSON text of items as the caller sees them, in their order. */
  readonly present: (items: readonly Item[]) => Promise<{ event: string; data: string }[]>;
  /** Bookmarks older than this may point at entries that are gone. */
  readonly keptSince: () => Date;
  readonly heartbeatMs: number;
  /** How long a client waits before it connects again. */
  readonly retryMs: number;
  /** The stream ends then. */
  readonly ends: Date;
  /** Ends the stream at once. */
  readonly signal: AbortSignal;
}

/**
 * The texts of one stream, each of whole events, as fast as they are pulled: whoever takes them slowly holds no more than a position, and reads
 * the database when what is kept in memory has gone on without it. Every text but comments ends with a bookmark, from which another stream goes on
 * without a loss and without repeating.
 */
export async function* eventStream(options: StreamOptions): AsyncGenerator<string> {
  const { entries, follower, bookmark, signal, ends } = options;
  const reached = new Map(bookmark?.position ?? follower.catchUp());
  const mark = () => bookmarkText({ at: new Date(), position: reached });
  const over = () => signal.aborted || Date.now() >= ends.getTime();
  yield opening(options, mark());
  let live = bookmark === undefined;
  while (!over()) {
    const taken = live ? follower.take() : undefined;
    if (taken === undefined) {
      for await (const piece of caughtUp(entries, reached, follower.catchUp())) {
        for await (const text of textsOf(options, piece, reached)) yield text;
        if (over()) return;
      }
      live = true;
    } else if (taken.length > 0) {
      for await (const text of textsOf(options, taken, reached)) yield text;
    } else if (!(await waited(options))) {
      yield sseComment('still here') + sseText({ id: mark() });
    }
  }
}

function opening({ bookmark, keptSince, retryMs }: StreamOptions, id: string): string {
  const start = sseText({ retry: retryMs, id });
  if (bookmark === undefined || bookmark.at >= keptSince()) return start;
  return start + sseText({ event: 'gap', id, data: JSON.stringify({ since: bookmark.at.toISOString() }) });
}

/** From where a client is up to where the others are, piece by piece from the database; moves `reached` past what is not yielded. */
async function* caughtUp(entries: StreamOptions['entries'], reached: Map<number, number>, target: Position): AsyncGenerator<LiveEntry[]> {
  for (let at: Position = new Map(reached); ; ) {
    const piece = await entries.between(at, target, readAtOnce);
    const items = await entries.items(piece.entries);
    if (piece.entries.length > 0) yield piece.entries.map((entry) => ({ ...entry, item: items.get(entry.event_id) }));
    for (const [partition, next] of piece.after) reached.set(partition, Math.max(next, reached.get(partition) ?? 0));
    if (piece.entries.length < readAtOnce) return;
    at = piece.after;
  }
}

/**
 * The events among entries that the caller sees, each with the bookmark after it; moves `reached` past all of them. What lies before `reached` was
 * given already, by an instance that was ahead of this one.
 */
async function* textsOf(options: StreamOptions, given: readonly LiveEntry[], reached: Map<number, number>): AsyncGenerator<string> {
  const { sees, present } = options;
  for (let from = 0; from < given.length; from += inOneText) {
    const slice = given.slice(from, from + inOneText).filter(({ partition, offset }) => offset >= (reached.get(partition) ?? 0));
    const seen = slice.flatMap(({ event_id, item, company_id }) => (item && sees(company_id) ? [{ event_id, item }] : []));
    const presented = await present(seen.map(({ item }) => item));
    const shown = new Map(seen.map(({ event_id }, at) => [event_id, presented[at]]));
    const text = slice.map((entry) => {
      reached.set(entry.partition, entry.offset + 1);
      const one = shown.get(entry.event_id);
      return one ? sseText({ ...one, id: bookmarkText({ at: new Date(), position: reached }) }) : '';
    });
    const whole = text.join('');
    if (whole) yield whole;
  }
}

/** False when it is time to show that the stream lives; true when there is something to do. */
async function waited({ follower, heartbeatMs, ends, signal }: StreamOptions): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const left = ends.getTime() - Date.now();
  const timer = setTimeout(() => resolve(left <= heartbeatMs), Math.max(0, Math.min(heartbeatMs, left)));
  const stop = () => resolve(true);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const forget = follower.whenChanged(() => resolve(true));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    forget();
    signal.removeEventListener('abort', stop);
  }
}
