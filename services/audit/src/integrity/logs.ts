import { AppError } from '@biz/errors';
import { type Edge, frontierRoot, nodeReader, type ReadNodes } from '@biz/merkle';
import type { CheckpointDocument, Collections } from '../collections.ts';
import { openEdge } from '../ingest/mongo-store.ts';
import { checkpointId, tileId } from '../keys.ts';

export interface LogTree {
  log_id: string;
  size: number;
  edge: Edge;
  read: ReadNodes;
}

/** The tree of a log as it is now; undefined when there is no such log, or no tree of it yet. */
export async function treeOf(collections: Collections, logId: string): Promise<LogTree | undefined> {
  // The edge before the tiles: a tile that becomes full is inserted before it leaves the edge.
  const log = await collections.logs.findOne({ _id: logId }, { projection: { size: 1, edge: 1 } });
  if (log?.edge === undefined) return undefined;
  const edge = openEdge(log.size, log.edge);
  return { log_id: logId, size: log.size, edge, read: nodeReader(edge, (tiles) => readTiles(collections, logId, tiles)) };
}

async function readTiles(
  { tiles }: Collections,
  logId: string,
  wanted: readonly { level: number; index: number }[],
): Promise<ReadonlyMap<string, Buffer>> {
  const found = await tiles.find({ _id: { $in: wanted.map(({ level, index }) => tileId(logId, level, index)) } }).toArray();
  return new Map(found.map(({ level, index, hashes }) => [`${level}.${index}`, Buffer.from(hashes.value())]));
}

/** The newest checkpoint of a log, or the one at a size. */
export async function checkpointOf(
  { checkpoints }: Pick<Collections, 'checkpoints'>,
  logId: string,
  size?: number,
): Promise<CheckpointDocument | undefined> {
  if (size !== undefined) return (await checkpoints.findOne({ _id: checkpointId(logId, size) })) ?? undefined;
  // Ids of a log are its own name, a slash and digits; `0` follows the slash in ASCII.
  const [newest] = await checkpoints
    .find({ _id: { $gte: `${logId}/`, $lt: `${logId}0` } })
    .sort({ _id: -1 })
    .limit(1)
    .toArray();
  return newest;
}

/** Root of the tree as it was at a size up to the present one. */
export async function rootAt({ read }: LogTree, size: number): Promise<Buffer> {
  // The maximal perfect subtrees, largest first: one for each bit of the size.
  const nodes: { level: number; index: number }[] = [];
  for (let level = Math.floor(Math.log2(Math.max(size, 1))), start = 0; level >= 0; level -= 1) {
    const width = 2 ** level;
    if (start + width <= size) {
      nodes.push({ level, index: start / width });
      start += width;
    }
  }
  return frontierRoot({ size, hashes: await read(nodes) });
}

/** Hashes of the leaves from one to before another. */
export function leavesOf({ read }: LogTree, from: number, to: number): Promise<Buffer[]> {
  return read(Array.from({ length: to - from }, (_, index) => ({ level: 0, index: from + index })));
}

/** As `treeOf`; AppError `not_found` for a log that is not there. */
export async function requireTree(collections: Collections, logId: string): Promise<LogTree> {
  const tree = await treeOf(collections, logId);
  if (tree === undefined) throw new AppError('not_found', 'There is no such log.');
  return tree;
}
