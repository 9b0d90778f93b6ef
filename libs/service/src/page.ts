import { BSON } from 'mongodb';

/** With one document of the largest kind (1 MB) on top it still is less than a message of gRPC may be (4 MiB). */
const PAGE_BYTES = 2_500_000;

/**
 * What a page may hold, in bytes as they are stored. Documents may be a megabyte each, and a page of them is held in memory and has to fit in one
 * message of gRPC: it ends with the document that fills it, however few they are.
 */
export class PageRoom {
  #left: number;

  constructor(bytes = PAGE_BYTES) {
    this.#left = bytes;
  }

  get isFull(): boolean {
    return this.#left <= 0;
  }

  take(document: object): void {
    this.#left -= BSON.calculateObjectSize(document);
  }
}

/** The first of what a search finds, and whether there is more: `size` at most, and fewer when the room is full. The search gives one more than `size`. */
export async function takePage<T extends object>(
  found: AsyncIterable<T>,
  size: number,
  room = new PageRoom(),
): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = [];
  for await (const item of found) {
    if (items.length === size || room.isFull) return { items, more: true };
    room.take(item);
    items.push(item);
  }
  return { items, more: false };
}
