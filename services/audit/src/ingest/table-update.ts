import type { Collection, Document, UpdateFilter } from 'mongodb';

// The table goes along with each document that is updated, so the work grows with its square; with few rows the commits cost more.
const ROWS = 40;

/**
 * Updates many documents, each with values of its own, in few commands: one `updateMany` for up to 40 rows, whose
 * pipeline looks its row up in a table of literals (as `$row`). A bulk write makes a commit of each row, which costs some servers
 * several times as much. Documents that are missing are left missing. Gives back how many were there.
 */
export async function updateEach<Row extends { _id: string }>(
  collection: Collection<{ _id: string }>,
  rows: readonly Row[],
  values: (row: Row) => object,
  set: Record<string, unknown>,
): Promise<number> {
  const parts: Promise<{ matchedCount: number }>[] = [];
  for (let from = 0; from < rows.length; from += ROWS) {
    const part = rows.slice(from, from + ROWS);
    const ids = part.map(({ _id }) => _id);
    // Literals, since what comes from outside may look like an expression.
    const row = { $arrayElemAt: [{ $literal: part.map(values) }, { $indexOfArray: [{ $literal: ids }, '$_id'] }] };
    const stages: Document[] = [{ $set: { row } }, { $set: set }, { $unset: 'row' }];
    parts.push(collection.updateMany({ _id: { $in: ids } }, stages as unknown as UpdateFilter<{ _id: string }>));
  }
  return (await Promise.all(parts)).reduce((sum, { matchedCount }) => sum + matchedCount, 0);
}
