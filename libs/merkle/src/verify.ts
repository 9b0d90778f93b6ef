import { EMPTY_ROOT, HASH_BYTES, nodeHash } from './hash.ts';

/** That the leaf with this hash is the one at `index` in the tree of `size` leaves with this root. */
export interface InclusionClaim {
  readonly leafHash: Buffer;
  readonly index: number;
  readonly size: number;
  readonly path: readonly Buffer[];
  readonly root: Buffer;
}

/** That the tree of `to` leaves begins with the tree of `from` leaves. */
export interface ConsistencyClaim {
  readonly from: number;
  readonly to: number;
  readonly fromRoot: Buffer;
  readonly toRoot: Buffer;
  readonly path: readonly Buffer[];
}

/** Whether the path proves it (RFC 9162, section 2.1.3.2). Whatever is malformed is simply not proved: it never throws. */
export function verifyInclusion({ leafHash, index, size, path, root }: InclusionClaim): boolean {
  if (!areSizes(index, size) || index >= size || !areHashes([leafHash, root, ...path])) return false;
  let node = index;
  let last = size - 1;
  let hash = leafHash;
  for (const sibling of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      // a node at the right edge without a brother is the same one level up
      while (node % 2 === 0 && node > 0) [node, last] = [node / 2, half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && hash.equals(root);
}

/**
 * Whether the path proves it (RFC 9162, section 2.1.4.2). From 0 leaves, and between equal sizes, the only proof is the empty one: the
 * roots must be the empty tree's, or equal. Whatever is malformed is simply not proved: it never throws.
 */
export function verifyConsistency({ from, to, fromRoot, toRoot, path }: ConsistencyClaim): boolean {
  if (!areSizes(from, to) || from > to || !areHashes([fromRoot, toRoot, ...path])) return false;
  if (from === to) return path.length === 0 && fromRoot.equals(toRoot) && (from > 0 || fromRoot.equals(EMPTY_ROOT));
  if (from === 0) return path.length === 0 && fromRoot.equals(EMPTY_ROOT);
  let node = from - 1;
  let last = to - 1;
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  // a perfect old tree is itself the first node, so its root is not in the path
  const [first, ...rest] = node === 0 ? [fromRoot, ...path] : path;
  if (!first || (node === 0 && path.length === 0)) return false;
  let [oldHash, newHash] = [first, first];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (node % 2 === 0 && node > 0) [node, last] = [node / 2, half(last)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && oldHash.equals(fromRoot) && newHash.equals(toRoot);
}

/** Not a shift: sizes may pass 2^32. */
function half(value: number): number {
  return Math.floor(value / 2);
}

function areSizes(...values: readonly number[]): boolean {
  return values.every((value) => Number.isSafeInteger(value) && value >= 0);
}

function areHashes(hashes: readonly Buffer[]): boolean {
  return hashes.every((hash) => Buffer.isBuffer(hash) && hash.length === HASH_BYTES);
}
