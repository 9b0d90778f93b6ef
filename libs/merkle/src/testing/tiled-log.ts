import { type Edge, EMPTY_EDGE, extendEdge, leafHash, nodeReader, type ReadNodes, type Tile } from '../index.ts';

/** Hashes of the leaves "0", "1", … */
export function numberedLeaves(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => leafHash(String(index)));
}

/** A log as a service keeps it: its edge and its full tiles, in memory. */
export class TiledLog {
  edge: Edge = EMPTY_EDGE;
  readonly tiles = new Map<string, Tile>();
  /** Tiles asked for by each call of the reader. */
  readonly reads: number[] = [];

  /** Appends the leaves, at most `portion` at once. */
  append(leaves: readonly Buffer[], portion = leaves.length): this {
    for (let from = 0; from < leaves.length; from += portion) {
      const { edge, tiles } = extendEdge(this.edge, leaves.slice(from, from + portion));
      this.edge = edge;
      for (const tile of tiles) {
        const key = `${tile.level}.${tile.index}`;
        if (this.tiles.has(key)) throw new Error(`tile ${key} was made twice`);
        this.tiles.set(key, tile);
      }
    }
    return this;
  }

  get read(): ReadNodes {
    return nodeReader(this.edge, async (ids) => {
      this.reads.push(ids.length);
      return new Map(
        ids
          .flatMap(({ level, index }) => this.tiles.get(`${level}.${index}`) ?? [])
          .map((tile) => [`${tile.level}.${tile.index}`, tile.hashes]),
      );
    });
  }
}
