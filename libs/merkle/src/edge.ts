import type { Frontier } from './frontier.ts';
import { assertHashes, assertSize, foldRoots, HASH_BYTES, pairHash } from './hash.ts';

/** Hashes of a full tile: tiles are 8 levels of the tree high (C2SP tlog-tiles). */
export const TILE_WIDTH = 256;

/** Bytes of a full tile. */
export const TILE_BYTES = TILE_WIDTH * HASH_BYTES;

/** A full tile: 256 hashes side by side, of level `8 * level` of the tree, from `256 * index` on. It never changes. */
export interface Tile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Buffer;
}

/**
 * The right edge of a tree of `size` leaves: for each level of tiles the hashes (0 to 255, side by side) of the tile that is not full yet.
 * With the full tiles it is the whole tree; alone it gives the root and takes more leaves.
 */
export interface Edge {
  readonly size: number;
  readonly levels: Buffer[];
}

/** Edge of the tree without leaves. */
export const EMPTY_EDGE: Edge = { size: 0, levels: [] };

/**
 * The edge after more leaves (their hashes, in order), and the tiles that became full, lower levels first; the edge given stays as it is.
 * O(leaves + log size), whatever the size. The same leaves in other portions give the same tiles and the same edge.
 */
export function extendEdge(edge: Edge, leaves: readonly Buffer[]): { edge: Edge; tiles: Tile[] } {
  assertEdge(edge);
  assertHashes(leaves);
  const size = edge.size + leaves.length;
  assertSize(size);
  const tiles: Tile[] = [];
  const levels: Buffer[] = [];
  let arriving = leaves;
  for (let level = 0; level < edge.levels.length || arriving.length > 0; level += 1) {
    const hashes = Buffer.concat([edge.levels[level] ?? Buffer.alloc(0), ...arriving]);
    const full = Math.floor(hashes.length / TILE_BYTES);
    const firstIndex = Math.floor(edge.size / TILE_WIDTH ** (level + 1));
    arriving = Array.from({ length: full }, (_, at) => {
      // a copy, so that a tile does not keep the whole batch in memory
      const tile = Buffer.from(hashes.subarray(at * TILE_BYTES, (at + 1) * TILE_BYTES));
      tiles.push({ level, index: firstIndex + at, hashes: tile });
      return perfectRoot(tile);
    });
    levels.push(Buffer.from(hashes.subarray(full * TILE_BYTES)));
  }
  return { edge: { size, levels }, tiles };
}

/** Root of the tree whose edge this is. At most 247 nodes are hashed a level of tiles. */
export function edgeRoot(edge: Edge): Buffer {
  return foldRoots(edgeFrontier(edge).hashes);
}

/** The frontier of the same tree. */
export function edgeFrontier(edge: Edge): Frontier {
  assertEdge(edge);
  const hashes: Buffer[] = [];
  for (const level of edge.levels.toReversed()) {
    let at = 0;
    for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
      if (at + width * HASH_BYTES > level.length) continue;
      hashes.push(perfectRoot(level.subarray(at, at + width * HASH_BYTES)));
      at += width * HASH_BYTES;
    }
  }
  return { size: edge.size, hashes };
}

/** Root of a perfect subtree, of its hashes side by side; their number is a power of two. */
export function perfectRoot(hashes: Buffer): Buffer {
  let row = hashes;
  while (row.length > HASH_BYTES) {
    const above = Buffer.allocUnsafe(row.length / 2);
    for (let at = 0; at < above.length; at += HASH_BYTES) pairHash(row, at * 2).copy(above, at);
    row = above;
  }
  return Buffer.from(row);
}

/** How many hashes level `level` of tiles has in a tree of `size` leaves, in full tiles and on the edge. */
export function hashesAt(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** Throws RangeError when the levels cannot be those of a tree of that size: what was stored apart does not belong together. */
export function assertEdge({ size, levels }: Edge): void {
  assertSize(size);
  for (let level = 0; level < levels.length || hashesAt(level, size) > 0; level += 1) {
    const expected = (hashesAt(level, size) % TILE_WIDTH) * HASH_BYTES;
    if (levels[level]?.length !== expected || hashesAt(level, size) === 0) {
      throw new RangeError(`an edge of ${size} leaves has ${expected} bytes at level ${level}, not ${levels[level]?.length ?? 'none'}`);
    }
  }
}
