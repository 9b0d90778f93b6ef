export { type Collections, collectionsOf, ensureIndexes } from './collections.ts';
export { type IngestParts, ingest } from './ingest/ingest.ts';
export { createMongoStore } from './ingest/mongo-store.ts';
export { Pending } from './ingest/pending.ts';
