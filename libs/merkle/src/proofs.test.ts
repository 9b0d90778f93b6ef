import { describe, expect, it } from 'vitest';
import {
  type ConsistencyClaim,
  consistencyProof,
  EMPTY_ROOT,
  type InclusionClaim,
  inclusionProof,
  verifyConsistency,
  verifyInclusion,
} from './index.ts';
import { NaiveTree } from './testing/naive-tree.ts';
import { numberedLeaves, TiledLog } from './testing/tiled-log.ts';

const SIZES = 130;
const leaves = numberedLeaves(SIZES);
const naive = new NaiveTree(leaves);
const log = new TiledLog().append(leaves);

/** A path with one thing wrong: a bit, a hash too few or too many, two in the wrong order. */
function wrongPaths(path: readonly Buffer[], garbage: Buffer): Buffer[][] {
  const flipped = path.map((hash, at) => path.with(at, flip(hash)));
  const dropped = path.map((_, at) => path.toSpliced(at, 1));
  const swapped = path.slice(1).map((hash, at) => path.toSpliced(at, 2, hash, path[at] as Buffer));
  return [
    ...flipped,
    ...dropped,
    ...swapped,
    [...path, garbage],
    [garbage, ...path],
    [...path, Buffer.alloc(0)],
    [Buffer.alloc(31), ...path],
  ];
}

function flip(hash: Buffer): Buffer {
  const wrong = Buffer.from(hash);
  wrong[7] = (wrong[7] as number) ^ 16;
  return wrong;
}

function wrongInclusions(claim: InclusionClaim): InclusionClaim[] {
  const { index, size, path, leafHash, root } = claim;
  return [
    ...wrongPaths(path, root).map((wrong) => ({ ...claim, path: wrong })),
    ...[index - 1, index + 1, index ^ 2, -1, index + 0.5, Number.NaN, size].map((wrong) => ({ ...claim, index: wrong })),
    // the shape of a path tells sizes apart only this far: a checkpoint is what binds the size
    ...[size * 2, Math.floor(size / 2), index, 0].map((wrong) => ({ ...claim, size: wrong })),
    { ...claim, leafHash: flip(leafHash) },
    { ...claim, leafHash: Buffer.alloc(0) },
    { ...claim, root: flip(root) },
    { ...claim, root: EMPTY_ROOT },
  ];
}

function wrongConsistencies(claim: ConsistencyClaim): ConsistencyClaim[] {
  const { from, to, fromRoot, toRoot, path } = claim;
  return [
    ...[...wrongPaths(path, fromRoot), ...wrongPaths(path, toRoot), []].map((wrong) => ({ ...claim, path: wrong })),
    ...[from - 1, from + 1, from ^ 2, to + 1, -1, Number.NaN].map((wrong) => ({ ...claim, from: wrong })),
    ...[to * 2, Math.floor(to / 2), from - 1].map((wrong) => ({ ...claim, to: wrong })),
    { ...claim, fromRoot: flip(fromRoot) },
    { ...claim, toRoot: flip(toRoot) },
    { ...claim, fromRoot: toRoot, toRoot: fromRoot },
    { ...claim, fromRoot: EMPTY_ROOT },
  ];
}

describe('inclusion', () => {
  it(`is proved for each leaf of each tree up to ${SIZES} leaves, as the RFC defines it, and no changed proof passes`, async () => {
    let checked = 0;
    const accepted: unknown[] = [];
    for (let size = 1; size <= SIZES; size += 1) {
      const root = naive.root(size);
      for (let index = 0; index < size; index += 1) {
        const path = await inclusionProof(index, size, log.read);
        expect(same(path, naive.path(index, size))).toBe(true);
        const claim = { leafHash: leaves[index] as Buffer, index, size, path, root };
        expect(verifyInclusion(claim)).toBe(true);
        const wrong = wrongInclusions(claim);
        accepted.push(...wrong.filter(verifyInclusion));
        checked += wrong.length;
      }
    }
    expect(accepted).toEqual([]);
    expect(checked).toBeGreaterThan(200_000);
  }, 60_000);

  it('is refused for leaves that are not in the tree', async () => {
    for (const [index, size] of [
      [0, 0],
      [1, 1],
      [-1, 5],
      [0.5, 5],
      [0, 2 ** 53],
    ] as const) {
      await expect(inclusionProof(index, size, log.read)).rejects.toThrow(RangeError);
    }
    await expect(inclusionProof(0, SIZES + 1, log.read)).rejects.toThrow(RangeError);
  });
});

describe('consistency', () => {
  it(`is proved for each two trees up to ${SIZES} leaves, as the RFC defines it, and no changed proof passes`, async () => {
    let checked = 0;
    const accepted: unknown[] = [];
    for (let to = 1; to <= SIZES; to += 1) {
      for (let from = 1; from <= to; from += 1) {
        const path = await consistencyProof(from, to, log.read);
        expect(same(path, naive.proof(from, to))).toBe(true);
        const claim = { from, to, fromRoot: naive.root(from), toRoot: naive.root(to), path };
        expect(verifyConsistency(claim)).toBe(true);
        if (from === to) continue;
        const wrong = wrongConsistencies(claim);
        accepted.push(...wrong.filter(verifyConsistency));
        checked += wrong.length;
      }
    }
    expect(accepted).toEqual([]);
    expect(checked).toBeGreaterThan(200_000);
  }, 60_000);

  it('from nothing, or of a tree with itself, needs no path and takes none', async () => {
    const root = naive.root(7);
    expect(await consistencyProof(0, 7, log.read)).toEqual([]);
    const cases: [ConsistencyClaim, boolean][] = [
      [{ from: 0, to: 7, fromRoot: EMPTY_ROOT, toRoot: root, path: [] }, true],
      [{ from: 0, to: 7, fromRoot: root, toRoot: root, path: [] }, false],
      [{ from: 0, to: 7, fromRoot: EMPTY_ROOT, toRoot: root, path: [root] }, false],
      [{ from: 0, to: 0, fromRoot: EMPTY_ROOT, toRoot: EMPTY_ROOT, path: [] }, true],
      [{ from: 0, to: 0, fromRoot: root, toRoot: root, path: [] }, false],
      [{ from: 7, to: 7, fromRoot: root, toRoot: root, path: [] }, true],
      [{ from: 7, to: 7, fromRoot: root, toRoot: root, path: [root] }, false],
      [{ from: 7, to: 7, fromRoot: root, toRoot: naive.root(8), path: [] }, false],
      [{ from: 7, to: 6, fromRoot: root, toRoot: naive.root(6), path: [] }, false],
    ];
    for (const [claim, proved] of cases) expect(verifyConsistency(claim)).toBe(proved);
  });

  it('is refused backwards and beyond the tree', async () => {
    for (const [from, to] of [
      [5, 4],
      [-1, 4],
      [1.5, 4],
      [1, SIZES + 1],
    ] as const) {
      await expect(consistencyProof(from, to, log.read)).rejects.toThrow(RangeError);
    }
  });
});

/** Much quicker than toEqual, which compares byte by byte. */
function same(one: readonly Buffer[], other: readonly Buffer[]): boolean {
  return one.length === other.length && Buffer.concat(one).equals(Buffer.concat(other));
}
