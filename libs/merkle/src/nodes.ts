import { assertEdge, type Edge, hashesAt, perfectRoot, TILE_BYTES, TILE_WIDTH } from './edge.ts';
import { HASH_BYTES } from './hash.ts';

/** A node of the tree: level 0 are the leaves; `index` counts in its level, from the left. */
export interface NodeId {
  readonly level: number;
  readonly index: number;
}

/** Where a tile is. */
export interface TileId {
  readonly level: number;
  readonly index: number;
}

/** Reads full tiles; keys are `${level}.${index}`. */
export type ReadTiles = (tiles: readonly TileId[]) => Promise<ReadonlyMap<string, Buffer>>;

/** Hashes of nodes, in the order asked for. */
export type ReadNodes = (nodes: readonly NodeId[]) => Promise<Buffer[]>;

/** A tile that should be there is missing, or is not 256 hashes long. */
export class TileError extends Error {
  override readonly name = 'TileError';
  readonly tile: TileId;

  constructor(tile: TileId, message: string) {
    super(message);
    this.tile = tile;
  }
}

/** Levels of the tree in one tile. */
const HEIGHT = 8;

/**
 * Reads any perfect node of the tree that the edge belongs to: from its edge, or from full tiles, with one call of `readTiles` for each
 * call (none when the edge has all). Tiles are taken as they are: who does not trust the store verifies what is made of them.
 * Throws RangeError for a node that the tree does not have, TileError for a tile that is missing or cut.
 */
export function nodeReader(edge: Edge, readTiles: ReadTiles): ReadNodes {
  assertEdge(edge);
  return async (nodes) => {
    const places = nodes.map((node) => placeOf(node, edge.size));
    const wanted = new Map(places.filter(({ full }) => full).map(({ tile }) => [keyOf(tile), tile]));
    const tiles = wanted.size > 0 ? await readTiles([...wanted.values()]) : new Map<string, Buffer>();
    return places.map(({ tile, full, offset, width }) => {
      const hashes = full ? tiles.get(keyOf(tile)) : edge.levels[tile.level];
      if (!hashes) throw new TileError(tile, `tile ${keyOf(tile)} is missing`);
      if (full && hashes.length !== TILE_BYTES) throw new TileError(tile, `tile ${keyOf(tile)} has ${hashes.length} bytes`);
      return perfectRoot(hashes.subarray(offset * HASH_BYTES, (offset + width) * HASH_BYTES));
    });
  };
}

/** Where the hashes below a node are: `width` of them, from `offset` on in `tile`, which is full or on the edge. */
function placeOf(node: NodeId, size: number): { tile: TileId; full: boolean; offset: number; width: number } {
  const level = Math.floor(node.level / HEIGHT);
  const width = 2 ** (node.level % HEIGHT);
  const first = node.index * width;
  const there = hashesAt(level, size);
  if (!Number.isSafeInteger(node.level) || !Number.isSafeInteger(first) || node.level < 0 || first < 0 || first + width > there) {
    throw new RangeError(`a tree of ${size} leaves has no node ${node.index} at level ${node.level}`);
  }
  const index = Math.floor(first / TILE_WIDTH);
  return { tile: { level, index }, full: (index + 1) * TILE_WIDTH <= there, offset: first % TILE_WIDTH, width };
}

function keyOf({ level, index }: TileId): string {
  return `${level}.${index}`;
}
