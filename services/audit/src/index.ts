// What the benchmarks measure.
export { type Collections, collectionsOf, ensureIndexes } from './collections.ts';
export { type IngestParts, ingest } from './ingest/ingest.ts';
export { createMongoStore } from './ingest/mongo-store.ts';
export { LogPending, Pending } from './ingest/pending.ts';
export { sealEvents } from './ingest/seal.ts';
export type { AuditStore } from './ingest/store.ts';
export { growTree } from './ingest/tree.ts';
export { signMoved } from './integrity/checkpointer.ts';
export { logSigners } from './integrity/signing.ts';
export { leafOf, leafText } from './leaf.ts';
export { presentRecords } from './query/present.ts';
export { listRecords } from './query/records.ts';
export { recordOf } from './record.ts';
