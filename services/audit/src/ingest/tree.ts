import { type Edge, EMPTY_EDGE, extendEdge, type Tile } from '@biz/merkle';
import { leafOf } from '../leaf.ts';
import type { RecordDocument } from '../record.ts';
import type { AuditStore, VoidDocument } from './store.ts';

/** Documents hashed at once when a tree is made from its records. */
const CHUNK = 1_000;

export interface Growth {
  edge: Edge;
  /** Tiles that became full: written once, never changed. */
  tiles: Tile[];
}

/**
 * The log's tree with the leaves from its size to before `size`. What this try wrote is hashed as it was written; what a former
 * try or another consumer left there is read back, since its sealed texts and its time of receipt are its own.
 */
export async function growTree(
  store: AuditStore,
  logId: string,
  edge: Edge,
  size: number,
  written: readonly (RecordDocument | VoidDocument)[],
): Promise<Growth> {
  const byIndex = new Map(written.map((document) => [document.leaf_index, document]));
  const missing: number[] = [];
  for (let index = edge.size; index < size; index += 1) {
    if (!byIndex.has(index)) missing.push(index);
  }
  const [first, last] = [missing[0], missing.at(-1)];
  if (first !== undefined && last !== undefined) {
    for (const document of await store.leavesBetween(logId, first, last + 1)) byIndex.set(document.leaf_index, document);
  }
  const leaves: Buffer[] = [];
  for (let index = edge.size; index < size; index += 1) {
    const document = byIndex.get(index);
    if (document === undefined) throw new Error(`${logId}: there is no leaf ${index} below its size ${size}`);
    leaves.push(leafOf(document));
  }
  return extendEdge(edge, leaves);
}

/** The edge of a log at its size; made from the records for a log that was begun before there were trees. */
export async function edgeOf(store: AuditStore, logId: string, state: { size: number; edge: Edge | undefined }): Promise<Edge> {
  if (state.edge !== undefined) return state.edge;
  let edge = EMPTY_EDGE;
  while (edge.size < state.size) {
    const grown = await growTree(store, logId, edge, Math.min(edge.size + CHUNK, state.size), []);
    await store.saveTiles(logId, grown.tiles);
    edge = grown.edge;
  }
  await store.plantEdge(logId, edge);
  return edge;
}
