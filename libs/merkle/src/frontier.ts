import { assertHashes, assertSize, foldRoots, nodeHash } from './hash.ts';

/**
 * All that a walk over the leaves must keep: the roots of the largest perfect subtrees that the tree of `size` leaves is made of, the
 * largest (leftmost) first; as many as `size` has ones in binary.
 */
export interface Frontier {
  readonly size: number;
  readonly hashes: Buffer[];
}

/** The frontier after more leaves (their hashes, in order); the one given stays as it is. One node is hashed a leaf, on average. */
export function extendFrontier(frontier: Frontier, leaves: readonly Buffer[]): Frontier {
  assertFrontier(frontier);
  assertHashes(leaves);
  const hashes = [...frontier.hashes];
  let size = frontier.size;
  for (const leaf of leaves) {
    let right = leaf;
    // as in a binary counter: each one at the low end of the size is a finished subtree of the same height
    for (let rest = size; rest % 2 === 1; rest = (rest - 1) / 2) right = nodeHash(hashes.pop() as Buffer, right);
    hashes.push(right);
    size += 1;
  }
  return { size, hashes };
}

/** Root of the tree whose frontier this is. */
export function frontierRoot(frontier: Frontier): Buffer {
  assertFrontier(frontier);
  return foldRoots(frontier.hashes);
}

function assertFrontier({ size, hashes }: Frontier): void {
  assertSize(size);
  assertHashes(hashes);
  let ones = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  if (hashes.length !== ones) throw new RangeError(`a frontier of ${size} leaves has ${ones} hashes, not ${hashes.length}`);
}
