import { foldRoots } from './hash.ts';
import type { NodeId, ReadNodes } from './nodes.ts';

/** The leaves `from` up to, not including, `to`. */
type Range = { readonly from: number; readonly to: number };

/**
 * Audit path of leaf `index` in the tree of the first `size` leaves (RFC 6962, section 2.1.1), from the leaf up. `read` may belong to a
 * larger tree. Throws RangeError for a leaf outside the tree.
 */
export async function inclusionProof(index: number, size: number, read: ReadNodes): Promise<Buffer[]> {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) {
    throw new RangeError(`a tree of ${size} leaves has no leaf ${index}`);
  }
  const path: Range[] = [];
  let tree: Range = { from: 0, to: size };
  while (tree.to - tree.from > 1) {
    const [left, right] = halves(tree);
    path.unshift(index < left.to ? right : left);
    tree = index < left.to ? left : right;
  }
  return rootsOf(path, read);
}

/**
 * Proof that the tree of the first `to` leaves begins with that of the first `from` (RFC 6962, section 2.1.2). Empty when the sizes are
 * the same, or `from` is 0: then there is nothing to show. `read` may belong to a larger tree. Throws RangeError unless 0 <= from <= to.
 */
export async function consistencyProof(from: number, to: number, read: ReadNodes): Promise<Buffer[]> {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || from > to) {
    throw new RangeError(`there is no proof from ${from} leaves to ${to}`);
  }
  if (from === 0) return [];
  const path: Range[] = [];
  let tree: Range = { from: 0, to };
  while (tree.to > from) {
    const [left, right] = halves(tree);
    path.unshift(from <= left.to ? right : left);
    tree = from <= left.to ? left : right;
  }
  // what the old tree ends with; the verifier has it already when it is the whole old tree
  if (tree.from > 0) path.unshift(tree);
  return rootsOf(path, read);
}

/** The two subtrees: the left one has the largest power of two of leaves that is smaller than the whole. */
function halves({ from, to }: Range): [Range, Range] {
  let width = 1;
  while (width * 2 < to - from) width *= 2;
  return [
    { from, to: from + width },
    { from: from + width, to },
  ];
}

/** Roots of subtrees; all their nodes are read at once. */
async function rootsOf(ranges: readonly Range[], read: ReadNodes): Promise<Buffer[]> {
  const nodes = ranges.map(perfectNodes);
  const hashes = await read(nodes.flat());
  let at = 0;
  return nodes.map(({ length }) => {
    at += length;
    return foldRoots(hashes.slice(at - length, at));
  });
}

/** The perfect subtrees that a subtree is made of, largest first. */
function perfectNodes({ from, to }: Range): NodeId[] {
  const nodes: NodeId[] = [];
  for (let at = from; at < to; ) {
    let level = 0;
    while (2 ** (level + 1) <= to - at) level += 1;
    nodes.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return nodes;
}
