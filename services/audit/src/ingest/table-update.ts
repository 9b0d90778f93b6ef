import type { Collection, Document, UpdateFilter } from 'mongodb';

// The table travels with each document that is updated, so the work grows with its square.
const ROWS = 100;

/**
 * Updates many documents, each with values of its own, in few commands: one `updateMany` for up to 100 rows, whose
 * pipeline looks its row up in a table of literals (as `$row`). A bulk write would make a commit of each row.
 * Documents that are missing are left missing. Gives back how many were there.
 */
export async function updateEach<Row extends { _id: string }>(
  collection: Collection<{ _id: string }>,
  rows: readonly Row[],
  set: Record<string, unknown>,
): Promise<number> {
  const parts: Promise<{ matchedCount: number }>[] = [];
  for (let from = 0; from < rows.length; from += ROWS) {
    const part = rows.slice(from, from + ROWS);
    const ids = part.map(({ _id }) => _id);
    // Literals, since what comes from outside may look like an expression.
    const row = { $arrayElemAt: [{ $literal: part }, { $indexOfArray: [{ $literal: ids }, '$_id'] }] };
    const stages: Document[] = [{ $set: { row } }, { $set: set }, { $unset: 'row' }];
    parts.push(collection.updateMany({ _id: { $in: ids } }, stages as unknown as UpdateFilter<{ _id: string }>));
  }
  return (await Promise.all(parts)).reduce((sum, { matchedCount }) => sum + matchedCount, 0);
}
