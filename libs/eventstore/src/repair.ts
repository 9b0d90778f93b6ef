import type { StoreParts } from './parts.ts';
import { ensureCurrent } from './reading.ts';
import type { EventDocument } from './types.ts';

const CHUNK = 500;

/** Brings `current` up to the events that are not yet published, or to all of them. Gives how many entities were behind. */
export async function repair(parts: StoreParts, scope: 'unpublished' | 'all'): Promise<number> {
  const filter = scope === 'all' ? {} : { published_at: null };
  const sort = scope === 'all' ? ({ stream_id: 1, version: 1 } as const) : ({ _id: 1 } as const);
  const cursor = parts.events.find(filter, { projection: { stream_id: 1, version: 1, meta: 1 } }).sort(sort);
  let behind = 0;
  let chunk: EventDocument[] = [];
  for await (const event of cursor) {
    chunk.push(event);
    if (chunk.length < CHUNK) continue;
    behind += await ensureCurrent(parts, chunk);
    chunk = [];
  }
  return behind + (chunk.length > 0 ? await ensureCurrent(parts, chunk) : 0);
}
