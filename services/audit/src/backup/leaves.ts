import { BackupFault } from '@biz/backup';
import { type Edge, EMPTY_EDGE, edgeRoot, extendEdge, type Tile } from '@biz/merkle';
import type { Document } from 'mongodb';
import { recordId } from '../keys.ts';
import { leafOf } from '../leaf.ts';
import type { CutLog } from './cut.ts';

/** Leaves that the tree is extended by at once. */
const CHUNK = 1_000;

/**
 * The tree of one log as its documents come, in order: each must be at its place, and at the end they must lead to the signed root. So a
 * backup is of what was signed, when it is made and when it is restored.
 */
export class Leaves {
  readonly #log: Pick<CutLog, 'log_id' | 'size' | 'root'>;
  #waiting: Buffer[] = [];
  #edge: Edge = EMPTY_EDGE;
  /** Tiles that became full since they were taken the last time. */
  #tiles: Tile[] = [];
  /** Of the newest message that is a record. */
  #lastOffset = -1;

  constructor(log: Pick<CutLog, 'log_id' | 'size' | 'root'>) {
    this.#log = log;
  }

  get size(): number {
    return this.#edge.size + this.#waiting.length;
  }

  /** BackupFault when it is not the document of the next place. */
  add(document: Document): void {
    const { log_id } = this.#log;
    const expected = recordId(log_id, this.size);
    if (document._id !== expected) {
      throw new BackupFault(`${expected} is missing: ${String(document._id)} stands in its place. "npm run verify" says more`);
    }
    if (document.kind === 'event') this.#lastOffset = Number(document.offset);
    this.#waiting.push(leafOf(document));
    if (this.#waiting.length >= CHUNK) this.#grow();
  }

  takeTiles(): Tile[] {
    const tiles = this.#tiles;
    this.#tiles = [];
    return tiles;
  }

  /** The tree's edge, and the offset after that of the last record. BackupFault when it is not the tree that was signed. */
  end(): { edge: Edge; root: Buffer; nextOffset: number } {
    this.#grow();
    const { log_id, size, root: signed } = this.#log;
    const root = edgeRoot(this.#edge);
    if (this.#edge.size !== size || root.toString('base64') !== signed) {
      throw new BackupFault(
        `The records of ${log_id} do not lead to what was signed (size ${size}, root ${signed}; found ${this.#edge.size}, ${root.toString('base64')}). "npm run verify" names the record`,
      );
    }
    return { edge: this.#edge, root, nextOffset: this.#lastOffset + 1 };
  }

  #grow(): void {
    if (this.#waiting.length === 0) return;
    const { edge, tiles } = extendEdge(this.#edge, this.#waiting);
    this.#edge = edge;
    this.#tiles.push(...tiles);
    this.#waiting = [];
  }
}
