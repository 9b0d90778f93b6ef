import { EMPTY_ROOT, nodeHash } from '@biz/merkle';

/** Hashes that a tile has for each level of tiles (C2SP tlog-tiles, height 8). */
export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;

/**
 * The tree that a walk over the leaves makes again: a binary counter of the roots of perfect subtrees (RFC 6962, 2.1). Beside the builder's
 * own code on purpose: what that gets wrong, this does not repeat. One node is hashed a leaf on average; 32 bytes are kept for each bit of the size.
 */
export class Tree {
  size = 0;
  /** By height, the root of the finished subtree that stands there; undefined where the size has a zero bit. */
  #heights: (Buffer | undefined)[] = [];

  /** Adds a leaf. Gives the hashes that it finished for tiles: level 1 first, then 2 and so on; none but every 256th time. */
  add(leaf: Buffer): Buffer[] {
    const nodes: Buffer[] = [];
    let hash = leaf;
    let height = 0;
    for (let left = this.#heights[0]; left !== undefined; left = this.#heights[height]) {
      hash = nodeHash(left, hash);
      this.#heights[height] = undefined;
      height += 1;
      if (height % TILE_HEIGHT === 0) nodes.push(hash);
    }
    this.#heights[height] = hash;
    this.size += 1;
    return nodes;
  }

  /** Adds leaves that lie side by side in `hashes`. */
  addAll(hashes: Buffer): void {
    for (let at = 0; at < hashes.length; at += EMPTY_ROOT.length) this.add(hashes.subarray(at, at + EMPTY_ROOT.length));
  }

  root(): Buffer {
    let right: Buffer | undefined;
    for (const left of this.#heights) {
      if (left !== undefined) right = right === undefined ? left : nodeHash(left, right);
    }
    return right ?? EMPTY_ROOT;
  }

  clone(): Tree {
    const copy = new Tree();
    copy.size = this.size;
    copy.#heights = [...this.#heights];
    return copy;
  }
}
