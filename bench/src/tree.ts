// What the Merkle tree costs the audit consumer: hashing the leaves of records, and extending the tree by batches of 1,000.
import { hash, randomBytes } from 'node:crypto';
import { createMongoStore, growTree, leafText } from '@biz/audit';
import { type Edge, EMPTY_EDGE, edgeRoot, extendEdge, leafHash } from '@biz/merkle';
import type { Document } from 'mongodb';
import { percentile, type Report } from './report.ts';

const LEAVES = 200_000;
const BATCH = 1_000;
const RUNS = 5;

/** Needs no engine: leaf hashes into the tree, against the bare SHA-256 of as many nodes. */
export function benchTree(report: Report): void {
  const leaves = Array.from({ length: LEAVES }, (_, index) => leafHash(String(index)));
  const node = randomBytes(65);
  const rates = runs(() => {
    let edge = EMPTY_EDGE;
    for (let from = 0; from < LEAVES; from += BATCH) {
      edge = extendEdge(edge, leaves.slice(from, from + BATCH)).edge;
      edgeRoot(edge);
    }
  });
  const floors = runs(() => {
    for (let at = 0; at < LEAVES; at += 1) hash('sha256', node, 'buffer');
  });
  report.add(`tree: ${LEAVES} leaves in batches of ${BATCH}, with a root for each`, percentile(rates, 0.5), 'leaves/s', {
    floor: percentile(floors, 0.5),
    spread: `${spreadOf(rates)}; the floor hashes one node a leaf`,
  });
}

/**
 * Over records as they are stored: leaf and tree, against the bare SHA-256 of the same texts. Gives back the seconds that a record costs, of
 * which the consumer's share follows.
 */
export async function benchLeaves(documents: readonly Document[], report: Report): Promise<number> {
  const texts = documents.map(leafText);
  const rates: number[] = [];
  const batches = batchesOf(documents);
  for (let run = 0; run < RUNS; run += 1) {
    const started = performance.now();
    let edge: Edge = EMPTY_EDGE;
    for (const batch of batches) {
      ({ edge } = await growTree(unused, 'bench', edge, edge.size + batch.length, batch));
      edgeRoot(edge);
    }
    rates.push((documents.length / (performance.now() - started)) * 1000);
  }
  const floors = runs(() => {
    for (const text of texts) hash('sha256', text, 'buffer');
  }, documents.length);
  const bytes = texts.reduce((sum, text) => sum + text.length, 0) / texts.length;
  report.add('leaf (canonical JSON, SHA-256) and tree of stored records', percentile(rates, 0.5), 'records/s', {
    floor: percentile(floors, 0.5),
    spread: `${spreadOf(rates)}; the floor hashes the same ${Math.round(bytes)} bytes a record`,
  });
  return 1 / percentile(rates, 0.5);
}

/** As the records of one log. */
function batchesOf(documents: readonly Document[]): Batch[] {
  const placed = documents.map((document, leaf_index) => ({ ...document, leaf_index }));
  return Array.from(
    { length: Math.ceil(placed.length / BATCH) },
    (_, at) => placed.slice(at * BATCH, (at + 1) * BATCH) as unknown as Batch,
  );
}

type Batch = Parameters<typeof growTree>[4];

/** All leaves are given, so nothing is read. */
const unused = createMongoStore({} as Parameters<typeof createMongoStore>[0]);

function runs(work: () => void, count = LEAVES): number[] {
  return Array.from({ length: RUNS }, () => {
    const started = performance.now();
    work();
    return (count / (performance.now() - started)) * 1000;
  });
}

function spreadOf(rates: readonly number[]): string {
  return `${Math.round(Math.min(...rates))} to ${Math.round(Math.max(...rates))} in ${rates.length} runs`;
}
