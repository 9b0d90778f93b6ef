import type { StoreParts } from './parts.ts';

/**
 * Indexes that the rules rest on. On the embedded server a partial index must have its filtered field first, and its
 * filter must read exactly as the query does, or it is not used (or worse, gives nothing): the conformance suite checks.
 */
export async function ensureIndexes(parts: StoreParts, lookups: readonly string[], hasUpcasts: boolean): Promise<void> {
  const { events, current, marks } = parts;
  await events.createIndex({ stream_id: 1, version: 1 }, { unique: true });
  await events.createIndex(
    { 'idempotency.key': 1, 'idempotency.actor': 1 },
    { unique: true, partialFilterExpression: { 'idempotency.key': { $exists: true } } },
  );
  await events.createIndex(
    { 'fence.key': 1, 'fence.number': 1 },
    { unique: true, partialFilterExpression: { 'fence.key': { $exists: true } } },
  );
  for (const mark of marks) {
    await events.createIndex({ [mark]: 1, _id: 1 }, { partialFilterExpression: { [mark]: null } });
  }
  await current.createIndex({ entity_type: 1, company_id: 1, created_at: 1, _id: 1 });
  await current.createIndex({ entity_type: 1, created_at: 1, _id: 1 });
  // The way to the folds that lack upcasts; in those of the first version the field is absent, which an index holds as null.
  if (hasUpcasts) await current.createIndex({ schema_version: 1, entity_type: 1 });
  for (const name of lookups) {
    await current.createIndex(
      { [`keys.${name}`]: 1, entity_type: 1, company_id: 1, created_at: 1, _id: 1 },
      { partialFilterExpression: { [`keys.${name}`]: { $exists: true } } },
    );
  }
}
