import { EMPTY_EDGE, extendEdge, extendFrontier, frontierRoot } from '@biz/merkle';
import type { Document } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { entityKey, recordId, tileId } from '../keys.ts';
import { leafOf } from '../leaf.ts';
import { auditOf, keys, MemoryAudit } from '../testing/memory-audit.ts';
import { nothingOutside } from './outside.ts';
import type { VerifySource } from './source.ts';
import type { StoredTile } from './stored-tree.ts';
import { Tree } from './tree.ts';
import { verifyAudit } from './verify.ts';

describe('the tree of the walk', () => {
  it('is that of the library, at every size', () => {
    const tree = new Tree();
    let frontier = { size: 0, hashes: [] as Buffer[] };
    for (let size = 0; size <= 600; size += 1) {
      expect(tree.root().equals(frontierRoot(frontier)), String(size)).toBe(true);
      const leaf = Buffer.alloc(32, size % 251);
      tree.add(leaf);
      frontier = extendFrontier(frontier, [leaf]);
    }
  });

  it('gives the hashes of tiles', () => {
    const tree = new Tree();
    const leaves = Array.from({ length: 256 ** 2 }, (_, index) => Buffer.from(String(index).padStart(32)));
    const nodes = leaves.map((leaf) => tree.add(leaf));
    const { edge, tiles } = extendEdge(EMPTY_EDGE, leaves);
    expect(nodes.filter((level) => level.length > 0)).toHaveLength(256);
    expect(tiles.find(({ level }) => level === 1)?.hashes.equals(Buffer.concat(nodes.map(([node]) => node ?? Buffer.alloc(0))))).toBe(true);
    expect(nodes.at(-1)).toHaveLength(2);
    expect(nodes.at(-1)?.[1]?.equals(edge.levels[2] as Buffer)).toBe(true);
  });
});

describe('an audit as it should be', () => {
  it.each([
    ['nothing at all', []],
    ['one record', [1]],
    ['just a tile', [256]],
    ['some logs', [300, 5, 257, 1, 600]],
  ])('%s', async (_, sizes) => {
    const made = auditOf(sizes);
    for (const outside of [nothingOutside, made.outside(), made.outside(false)]) {
      expect(await made.verify({}, outside)).toMatchObject({ ok: true, checked: sizes.reduce((sum, size) => sum + size, 0), findings: [] });
    }
  });

  it('of more leaves than a tile of the second level has, and one of them changed', { timeout: 60_000 }, async () => {
    const made = auditOf([256 ** 2 + 700], 8_000);
    expect(await made.verify({}, made.outside())).toMatchObject({ ok: true });
    const id = recordId('log-0', 60_000);
    made.records.set(id, { ...made.records.get(id), note: 'changed' });
    expect(await made.verify({}, made.outside(false))).toMatchObject({
      findings_total: 1,
      first_bad: { reason: 'leaf_differs', record_id: id },
    });
  });
});

/** Reproducible: prints nothing, the round is in the message of a failure. */
function random(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

describe('one fault anywhere', () => {
  const sizes = [300, 5, 257, 600];
  type Fault = (made: MemoryAudit, id: string) => void;
  const faults: [string, string, Fault][] = [
    ['a record changed', 'leaf_differs', (made, id) => made.records.set(id, { ...made.records.get(id), event_id: 'other' })],
    ['a record deleted', 'record_missing', (made, id) => made.records.delete(id)],
    ['a field more', 'leaf_differs', (made, id) => made.records.set(id, { ...made.records.get(id), more: null })],
    ['a record of nothing', 'leaf_differs', (made, id) => made.records.set(id, { _id: id })],
  ];
  it.each(faults)('%s: named first, whatever is compared with', { timeout: 60_000 }, async (_, reason, tamper) => {
    const made = auditOf(sizes);
    for (let round = 1; round <= 12; round += 1) {
      const pick = random(round * 7919);
      const log = pick(sizes.length);
      const leaf_index = pick(sizes[log] as number);
      const id = recordId(`log-${log}`, leaf_index);
      const record = made.records.get(id) as Document;
      tamper(made, id);
      for (const outside of [nothingOutside, made.outside(), made.outside(false)]) {
        const { first_bad, findings } = await made.verify({}, outside);
        expect(first_bad, `round ${round}, ${id}`).toMatchObject({ reason, log_id: `log-${log}`, leaf_index, record_id: id });
        const others = findings.filter((finding) => /tree|checkpoint/.test(finding.reason));
        expect(others, `round ${round}, ${id}`).toEqual([]);
      }
      made.records.set(id, record);
    }
  });

  it('a tile changed: the records are not blamed', { timeout: 60_000 }, async () => {
    const made = auditOf(sizes);
    for (let round = 1; round <= 12; round += 1) {
      const [id, tile] = [...made.tiles][random(round)(made.tiles.size)] as [string, StoredTile];
      const hashes = Buffer.from(tile.hashes);
      const at = random(round * 31)(256);
      hashes[at * 32] = (hashes[at * 32] as number) ^ 1;
      made.tiles.set(id, { ...tile, hashes });
      for (const outside of [nothingOutside, made.outside()]) {
        expect(await made.verify({}, outside)).toMatchObject({
          ...{
            findings_total: 1,
            first_bad: { reason: 'tree_differs', log_id: tile.log_id, leaf_index: (tile.index as number) * 256 + at },
          },
        });
      }
      made.tiles.set(id, tile);
    }
  });

  it('a record and its tile changed alike: the part of the tree is named, and with what was kept outside the record', async () => {
    const made = auditOf(sizes);
    const id = recordId('log-3', 300);
    made.records.set(id, { ...made.records.get(id), event_id: 'other' });
    const tile = made.tiles.get(tileId('log-3', 0, 1)) as StoredTile;
    const hashes = Buffer.from(tile.hashes);
    leafOf(made.records.get(id) as Document).copy(hashes, (300 - 256) * 32);
    made.tiles.set(tile._id, { ...tile, hashes });
    const { findings } = await made.verify();
    expect(findings[0]).toMatchObject({ reason: expect.stringMatching(/tree|checkpoint/), log_id: 'log-3' });
    expect([findings[0]?.leaf_index as number, findings[0]?.leaf_to as number]).toSatisfy(([from, to]) => from <= 300 && to >= 300);
    expect(findings).toContainEqual(expect.objectContaining({ reason: 'tree_differs', log_id: 'log-3', leaf_index: 256, leaf_to: 511 }));
    expect(await made.verify({}, made.outside())).toMatchObject({ first_bad: { reason: 'leaf_differs', record_id: id } });
  });

  it('more faults than are listed are counted', async () => {
    const made = auditOf([1_000]);
    for (const record of made.records.values()) made.records.set(record._id, { ...record, more: 1 });
    const result = await made.verify({ limit: 10 });
    expect(result).toMatchObject({ findings_total: 1_000, first_bad: { leaf_index: 0 } });
    expect(result.findings.map(({ leaf_index }) => leaf_index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('versions and flags', () => {
  const flagged = (made: MemoryAudit) => made.sorted.find(({ is_active }) => is_active) as Document;

  it('of an entity in many logs, in any order', async () => {
    const made = new MemoryAudit();
    const pick = random(5);
    for (let turn = 0; turn < 200; turn += 1) made.add(`log-${pick(4)}`, [`c-${pick(3)}`, `c-${pick(3)}`]);
    expect(await made.verify()).toMatchObject({ ok: true, entities: 3 });
    const record = flagged(made);
    record.is_active = false;
    expect(await made.verify()).toMatchObject({ findings_total: 1, first_bad: { reason: 'active_differs', record_id: record._id } });
  });

  it.each([
    ['version_gap', 'a version left out', (record: Document) => ({ version: record.version + 1 })],
    ['version_repeated', 'a version twice', (record: Document) => ({ version: record.version - 1 })],
    ['entity_differs', 'under the key of another', () => ({ entity_key: entityKey('company', 'card', 'other') })],
    ['active_differs', 'an action that does not fit', () => ({ action_type: 'disable' })],
  ])('%s: %s, also when the whole tree says so', async (reason, _, change) => {
    const made = new MemoryAudit();
    made.add('log-0', ['a', 'b', 'a', 'b']);
    const id = recordId('log-0', 3);
    const record = made.records.get(id) as Document;
    made.records.set(id, { ...record, ...change(record) });
    // Made anew, as somebody with the code would.
    const rebuilt = new MemoryAudit();
    rebuilt.records = made.records;
    rebuilt.finish('log-0', made.sorted);
    const { findings } = await rebuilt.verify();
    expect(findings.map((finding) => [finding.reason, finding.record_id])).toContainEqual([reason, id]);
  });
});

describe('a store at work', () => {
  it('is verified up to where it was at the start', async () => {
    const made = auditOf([300, 300]);
    const source = made.source();
    let turn = 0;
    const growing: VerifySource = {
      ...source,
      async *records() {
        const seen = new Set<string>();
        for (;;) {
          const next = made.sorted.filter(({ _id }) => !seen.has(_id) && [...seen].every((one) => one < _id)).slice(0, 50);
          if (next.length === 0) return;
          for (const { _id } of next) seen.add(_id);
          // As they were read: what comes now changes flags of what was read before, and of what is read later.
          yield next.map((record) => ({ ...record }));
          turn += 1;
          made.add(`log-${turn % 2}`, ['c-0', 'c-1', `c-${turn % 2}-3`, 'new', `new-${turn}`]);
          if (turn > 30) return;
        }
      },
    };
    expect(await verifyAudit(growing, { keys, settleMs: 1 })).toMatchObject({ ok: true, findings: [] });
    expect(turn).toBeGreaterThan(5);
  });

  it('with a batch that is not finished: waited for, or taken for what it is in a copy', async () => {
    const made = auditOf([300]);
    made.add('log-0', ['c-0', 'x', 'y'], { finish: false });
    expect(await made.verify({ restored: true })).toMatchObject({ ok: true, logs: [{ size: 300, unfinished: 3 }] });
    const left = await made.verify();
    expect(left.findings.map(({ reason, leaf_index }) => [reason, leaf_index])).toEqual([
      ['record_unfinished', 300],
      ['record_unfinished', 301],
      ['record_unfinished', 302],
    ]);
    // Finished once it was seen, and then the next one is at work.
    const source = made.source();
    const recordsFrom = source.recordsFrom;
    source.recordsFrom = async (...place) => {
      const found = await recordsFrom(...place);
      made.finish('log-0', found);
      made.add('log-0', ['c-1'], { finish: false });
      return found;
    };
    expect(await verifyAudit(source, { keys, settleMs: 60_000 })).toMatchObject({ ok: true, findings: [] });
  });

  it('in a copy, what cannot be of a batch is a fault', async () => {
    const made = auditOf([300]);
    made.add('log-0', ['x'], { finish: false });
    const id = recordId('log-0', 300);
    made.records.set(id, { ...made.records.get(id), offset: 3 });
    expect(await made.verify({ restored: true })).toMatchObject({ first_bad: { reason: 'record_unexpected', record_id: id } });
  });

  it('can be told to stop', async () => {
    const made = auditOf([2_000]);
    const controller = new AbortController();
    const stopped = made.verify({ signal: controller.signal, onProgress: () => controller.abort(new Error('enough')) });
    await expect(stopped).rejects.toThrow('enough');
  });
});
