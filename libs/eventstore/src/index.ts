export type { ClaimDocument } from './claims.ts';
export type { Command, Executed, Next } from './execute.ts';
export { claimsOf, evolve, nextEventId, type RulesByType, streamId } from './fold.ts';
export { insertMissing, isDuplicateKey } from './inserts.ts';
export { createLease, type Lease } from './lease.ts';
export type { StoreLog } from './log.ts';
export { createOutbox, type Doer, type Outbox, type OutboxOptions, type OwnEvent, ownEventDocument } from './outbox.ts';
export type { Mark } from './parts.ts';
export { publishSpans, publishTo, type Sender } from './publish.ts';
export type { RebuildOptions } from './rebuild.ts';
export { createRelay, type Relay, type RelayOptions, type RelaySource } from './relay.ts';
export { addRestored, type EntityReport, emptyRestoreReport, type RebuildReport, type RestoreReport, type Sample } from './report.ts';
export type { RestoredEvent } from './restore.ts';
export { schemaVersionOf } from './schema.ts';
export { createEventStore, type EventStore, type EventStoreOptions } from './store.ts';
export type {
  ActionType,
  BlindIndexes,
  Claim,
  CurrentDocument,
  Draft,
  EntityRules,
  EventDocument,
  EventMeta,
  Idempotency,
  Upcast,
} from './types.ts';
export { startWorker, type Worker, type WorkerOptions } from './worker.ts';
