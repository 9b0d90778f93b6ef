import { type Collection, MongoBulkWriteError } from 'mongodb';

const DUPLICATE_KEY = 11_000;

/** Whether a write was refused because its `_id`, or another unique value, is taken. */
export function isDuplicateKey(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === DUPLICATE_KEY;
}

/**
 * Inserts what is not there yet, in one command, and gives the documents whose key was taken; one of them holds up none of the others,
 * unless `ordered`: then the first ends the insert. Errors: those of the database, also when it did not get the acknowledgements it waits for.
 */
export async function insertMissing<T extends { _id: unknown }>(
  collection: Collection<T>,
  documents: readonly T[],
  { ordered = false }: { ordered?: boolean } = {},
): Promise<T[]> {
  if (documents.length === 0) return [];
  try {
    await collection.insertMany(documents as readonly never[], { ordered });
    return [];
  } catch (error) {
    const refused = error instanceof MongoBulkWriteError && !error.result.getWriteConcernError() ? [error.writeErrors].flat() : [];
    if (refused.length === 0 || refused.some(({ code }) => code !== DUPLICATE_KEY)) throw error;
    return refused.map(({ index }) => documents[index] as T);
  }
}
