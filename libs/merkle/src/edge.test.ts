import { describe, expect, it } from 'vitest';
import {
  consistencyProof,
  EMPTY_EDGE,
  EMPTY_ROOT,
  edgeFrontier,
  edgeRoot,
  extendEdge,
  extendFrontier,
  frontierRoot,
  inclusionProof,
  leafHash,
  nodeHash,
  nodeReader,
  TILE_BYTES,
  TileError,
  verifyConsistency,
  verifyInclusion,
} from './index.ts';
import { NaiveTree } from './testing/naive-tree.ts';
import { numberedLeaves, TiledLog } from './testing/tiled-log.ts';

const leaves = numberedLeaves(65_537 + 300);
const naive = new NaiveTree(leaves);

describe('edge', () => {
  it('of nothing has the empty root, and takes nothing', () => {
    expect(edgeRoot(EMPTY_EDGE)).toEqual(EMPTY_ROOT);
    expect(extendEdge(EMPTY_EDGE, [])).toEqual({ edge: { size: 0, levels: [] }, tiles: [] });
  });

  it('gives the same root and frontier as the definition, leaf by leaf', () => {
    const log = new TiledLog();
    let frontier = extendFrontier({ size: 0, hashes: [] }, []);
    for (let size = 1; size <= 600; size += 1) {
      const leaf = leaves.slice(size - 1, size);
      log.append(leaf);
      frontier = extendFrontier(frontier, leaf);
      expect(edgeRoot(log.edge).equals(naive.root(size))).toBe(true);
      expect(frontierRoot(frontier).equals(naive.root(size))).toBe(true);
      expect(Buffer.concat(edgeFrontier(log.edge).hashes).equals(Buffer.concat(frontier.hashes))).toBe(true);
    }
  });

  it.each([254, 255, 256, 257, 511, 512, 513, 65_279, 65_280, 65_535, 65_536, 65_537, 65_793])(
    'and its tiles are the whole tree of %i leaves, however the leaves came',
    async (size) => {
      const logs = [1000, 256, 255, 4099].map((portion) => new TiledLog().append(leaves.slice(0, size), portion));
      const log = logs[0] as TiledLog;
      for (const other of logs) {
        expect(other.edge).toEqual(log.edge);
        expect([...other.tiles.keys()].sort()).toEqual([...log.tiles.keys()].sort());
      }
      expect(log.tiles.size).toBe(Math.floor(size / 256) + Math.floor(size / 65_536));
      for (const { level, index, hashes } of log.tiles.values()) {
        expect(hashes.length).toBe(TILE_BYTES);
        const width = 256 ** level;
        for (const at of [0, 1, 100, 255]) {
          const from = (index * 256 + at) * width;
          expect(hashes.subarray(at * 32, (at + 1) * 32).equals(naive.root(from + width, from))).toBe(true);
        }
      }
      expect(edgeRoot(log.edge).equals(naive.root(size))).toBe(true);
      await provesSamples(log, size);
    },
  );

  it('stays as it was, and does not share memory with what comes in', () => {
    const batch = numberedLeaves(300);
    const { edge } = extendEdge(EMPTY_EDGE, batch);
    const before = edgeRoot(edge);
    const { tiles } = extendEdge(edge, batch);
    batch[299]?.fill(0);
    tiles[0]?.hashes.fill(0);
    expect(edgeRoot(edge)).toEqual(before);
  });

  it('that does not belong together is refused', () => {
    const { edge } = extendEdge(EMPTY_EDGE, leaves.slice(0, 300));
    const [bottom = Buffer.alloc(0), top = Buffer.alloc(0)] = edge.levels;
    for (const wrong of [
      { ...edge, size: 299 },
      { ...edge, size: 300.5 },
      { ...edge, levels: [bottom] },
      { ...edge, levels: [bottom, top, Buffer.alloc(0)] },
      { ...edge, levels: [bottom.subarray(1), top] },
      { size: 0, levels: [Buffer.alloc(0)] },
    ]) {
      expect(() => edgeRoot(wrong)).toThrow(RangeError);
      expect(() => extendEdge(wrong, [])).toThrow(RangeError);
      expect(() => nodeReader(wrong, async () => new Map())).toThrow(RangeError);
    }
    expect(() => extendEdge(edge, [Buffer.alloc(31)])).toThrow(RangeError);
    expect(() => frontierRoot({ size: 3, hashes: [EMPTY_ROOT] })).toThrow(RangeError);
  });
});

/** Proofs of leaves and of older trees near the borders of tiles, against the definition. */
async function provesSamples(log: TiledLog, size: number): Promise<void> {
  const near = [0, 1, 2, 254, 255, 256, 257, 511, 65_279, 65_280, 65_535, 65_536, size - 2, size - 1].filter((at) => at < size);
  for (const index of near) {
    const path = await inclusionProof(index, size, log.read);
    expect(Buffer.concat(path).equals(Buffer.concat(naive.path(index, size)))).toBe(true);
    const from = index + 1;
    const proof = await consistencyProof(from, size, log.read);
    expect(Buffer.concat(proof).equals(Buffer.concat(naive.proof(from, size)))).toBe(true);
    // an older tree is proved from the same tiles and today's edge
    expect(await inclusionProof(0, from, log.read)).toHaveLength(naive.path(0, from).length);
  }
}

describe('nodeReader', () => {
  it('asks once for the tiles of a whole proof, each once, and not at all when the edge has it', async () => {
    const log = new TiledLog().append(leaves.slice(0, 65_800));
    await inclusionProof(70, 65_800, log.read);
    expect(log.reads).toEqual([2]);
    await inclusionProof(
      3,
      200,
      nodeReader(extendEdge(EMPTY_EDGE, leaves.slice(0, 200)).edge, () => Promise.reject(new Error('not asked'))),
    );
  });

  it('refuses nodes that the tree does not have', async () => {
    const { read } = new TiledLog().append(leaves.slice(0, 300));
    for (const node of [
      { level: 0, index: 300 },
      { level: 3, index: 37 },
      { level: 8, index: 1 },
      { level: 9, index: 0 },
      { level: -1, index: 0 },
      { level: 0, index: -1 },
    ]) {
      await expect(read([node])).rejects.toThrow(RangeError);
    }
  });

  it('names a tile that is missing or cut', async () => {
    const { edge } = extendEdge(EMPTY_EDGE, leaves.slice(0, 300));
    await expect(nodeReader(edge, async () => new Map())([{ level: 0, index: 3 }])).rejects.toThrow(
      new TileError({ level: 0, index: 0 }, 'tile 0.0 is missing'),
    );
    await expect(nodeReader(edge, async () => new Map([['0.0', Buffer.alloc(32)]]))([{ level: 0, index: 3 }])).rejects.toThrow(
      'tile 0.0 has 32 bytes',
    );
  });
});

describe('sizes beyond 2^32', () => {
  // All leaves are the same one, so that a perfect subtree is known by its height and any tree by its size.
  const perfect = [leafHash('same')];
  for (let level = 1; level < 50; level += 1) perfect.push(nodeHash(perfect[level - 1] as Buffer, perfect[level - 1] as Buffer));
  const levelOf = (tileLevel: number, count: number) =>
    Buffer.concat(Array.from({ length: count }, () => perfect[8 * tileLevel] as Buffer));
  const edgeOf = (size: number) => {
    const levels: Buffer[] = [];
    for (let level = 0; size >= 256 ** level; level += 1) levels.push(levelOf(level, Math.floor(size / 256 ** level) % 256));
    return { size, levels };
  };
  const read = (size: number) =>
    nodeReader(edgeOf(size), async (tiles) => new Map(tiles.map(({ level, index }) => [`${level}.${index}`, levelOf(level, 256)])));

  it('a leaf that fills tiles at three levels makes all of them', () => {
    const { edge, tiles } = extendEdge(edgeOf(2 ** 24 * 300 - 1), [perfect[0] as Buffer]);
    expect(tiles.map(({ level, index }) => [level, index])).toEqual([
      [0, 65_536 * 300 - 1],
      [1, 256 * 300 - 1],
      [2, 299],
    ]);
    expect(edge).toEqual(edgeOf(2 ** 24 * 300));
  });

  it.each([2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40 + 12_345, 2 ** 45 + 2 ** 33 + 7])('proofs of %i leaves hold', async (size) => {
    const root = edgeRoot(edgeOf(size));
    for (const index of [0, 2 ** 31 + 5, size - 3, size - 1]) {
      const path = await inclusionProof(index, size, read(size));
      const claim = { leafHash: perfect[0] as Buffer, index, size, path, root };
      expect(verifyInclusion(claim)).toBe(true);
      expect(verifyInclusion({ ...claim, leafHash: perfect[1] as Buffer })).toBe(false);
    }
    for (const from of [1, 2 ** 31 + 5, size - 3, size - 1]) {
      const path = await consistencyProof(from, size, read(size));
      const claim = { from, to: size, fromRoot: edgeRoot(edgeOf(from)), toRoot: root, path };
      expect(verifyConsistency(claim)).toBe(true);
      expect(verifyConsistency({ ...claim, fromRoot: perfect[1] as Buffer })).toBe(false);
    }
  });
});
