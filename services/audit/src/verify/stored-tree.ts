import { tileId } from '../keys.ts';
import { TILE_WIDTH } from './tree.ts';

const HASH_BYTES = 32;
const TILE_BYTES = TILE_WIDTH * HASH_BYTES;

/** A log's document when the walk began. */
export interface StoredLog {
  log_id: string;
  size: number;
  next_offset: number;
  root: Buffer | undefined;
  /** By level, the hashes of the unfinished tile side by side; undefined when the document has none. */
  edge: Buffer[] | undefined;
}

export interface StoredTile {
  _id: string;
  log_id: unknown;
  level: unknown;
  index: unknown;
  hashes: Buffer;
}

/** Some tiles of a log's level from one on, in order; those that are there. */
export type ReadTiles = (logId: string, level: number, from: number) => Promise<StoredTile[]>;

/** The tree of a log as it is stored: full tiles, and the edge at the log's size. Asked level by level in ascending order, it reads each tile once. */
export class StoredTree {
  readonly #log: StoredLog;
  readonly #readTiles: ReadTiles;
  readonly #levels: { ahead: StoredTile[]; tile: number; hashes: Buffer | undefined }[] = [];

  constructor(log: StoredLog, readTiles: ReadTiles) {
    this.#log = log;
    this.#readTiles = readTiles;
  }

  /** The id of what holds a hash, for people. */
  nameAt(level: number, index: number): string {
    const tile = Math.floor(index / TILE_WIDTH);
    return this.#isFull(level, tile)
      ? `tile ${tileId(this.#log.log_id, level, tile)}`
      : `the edge of log ${this.#log.log_id} at level ${level}`;
  }

  /** The stored hash of a node, level 0 being the leaves; undefined when what holds it is missing or has another form. */
  async hash(level: number, index: number): Promise<Buffer | undefined> {
    const tile = Math.floor(index / TILE_WIDTH);
    const hashes = this.#isFull(level, tile) ? await this.#tile(level, tile) : this.#log.edge?.[level];
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    return hashes !== undefined && hashes.length >= at + HASH_BYTES ? hashes.subarray(at, at + HASH_BYTES) : undefined;
  }

  /** Whether the edge has exactly the hashes that a tree of the log's size has. */
  edgeFits(): boolean {
    const { edge, size } = this.#log;
    if (edge === undefined) return size === 0;
    let levels = 0;
    while (size >= TILE_WIDTH ** levels) levels += 1;
    return (
      edge.length === levels &&
      edge.every((hashes, level) => hashes.length === (Math.floor(size / TILE_WIDTH ** level) % TILE_WIDTH) * HASH_BYTES)
    );
  }

  #isFull(level: number, tile: number): boolean {
    return (tile + 1) * TILE_WIDTH <= Math.floor(this.#log.size / TILE_WIDTH ** level);
  }

  async #tile(level: number, tile: number): Promise<Buffer | undefined> {
    let state = this.#levels[level];
    if (state === undefined) {
      state = { ahead: [], tile: -1, hashes: undefined };
      this.#levels[level] = state;
    }
    if (state.tile !== tile) {
      const id = tileId(this.#log.log_id, level, tile);
      const last = state.ahead.at(-1);
      if (last === undefined || last._id < id) state.ahead = await this.#readTiles(this.#log.log_id, level, tile);
      const found = state.ahead.find(({ _id }) => _id === id);
      state.tile = tile;
      state.hashes = found && this.#isWhole(found, level, tile) ? found.hashes : undefined;
    }
    return state.hashes;
  }

  #isWhole(stored: StoredTile, level: number, tile: number): boolean {
    return stored.log_id === this.#log.log_id && stored.level === level && stored.index === tile && stored.hashes.length === TILE_BYTES;
  }
}
