import { PageRoom } from '@biz/service';
import type { Filter } from 'mongodb';
import type { Collections } from '../collections.ts';
import type { RecordDocument } from '../record.ts';
import { fetchPage, type Position, SEARCH_MS } from './page.ts';
import type { Walk } from './walk.ts';

/** The first stretch of time that is looked at, how much longer each next one is, and the one that has no end. */
const FIRST_MS = 3_600_000;
const GROWTH = 8;
const LONGEST_MS = 10 * 365 * 86_400_000;

/**
 * The newest records of a walk by time, in stretches of time from its end backwards, each longer than the one before. Both ends of what a query
 * looks at are given to it: so it costs what the stretch has, also on a server that sorts all that it finds before it gives the first.
 */
export async function recentPage(
  { events }: Collections,
  { filter, after, sort }: Walk,
  position: Position | undefined,
  size: number,
  deadline: Date,
): Promise<{ items: RecordDocument[]; more: boolean }> {
  const { action_at, ...rest } = filter as { action_at?: { $gte?: Date; $lt?: Date } };
  const lowest = action_at?.$gte?.getTime() ?? Number.NEGATIVE_INFINITY;
  // Records from clocks that are ahead are in the first stretch, which has no upper end unless one was asked for.
  let to = position ? Number(position[0]) + 1 : action_at?.$lt?.getTime();
  const until = new Date(Math.min(deadline.getTime(), Date.now() + SEARCH_MS));
  const items: RecordDocument[] = [];
  const room = new PageRoom();
  for (let width = FIRST_MS; ; width *= GROWTH) {
    const start = (to ?? Date.now()) - width;
    const from = width > LONGEST_MS ? lowest : Math.max(start, lowest);
    const stretch = { ...(Number.isFinite(from) && { $gte: new Date(from) }), ...(to !== undefined && { $lt: new Date(to) }) };
    // The time first: some planners choose an index by what comes first, and none minds.
    const query = { ...(Object.keys(stretch).length > 0 && { action_at: stretch }), ...rest };
    const cursor = events
      .find((position ? { $and: [query, after(position, -1)] } : query) as Filter<RecordDocument>)
      .sort(Object.fromEntries(sort.map((field) => [field, -1])));
    const found = await fetchPage(cursor, size - items.length, until, room);
    items.push(...found.items);
    if (found.more || from === lowest) return { items, more: found.more };
    to = from;
  }
}
