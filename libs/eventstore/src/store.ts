import type { Collection, Db } from 'mongodb';
import { type ClaimDocument, createClaims } from './claims.ts';
import { type Command, type Executed, execute } from './execute.ts';
import type { RulesByType } from './fold.ts';
import { ensureIndexes } from './indexes.ts';
import type { StoreLog } from './log.ts';
import type { Mark, StoreParts } from './parts.ts';
import { catchUp, ensureCurrent, load, type Reading } from './reading.ts';
import { type RebuildOptions, rebuild } from './rebuild.ts';
import { refold, refreshed } from './refold.ts';
import { repair } from './repair.ts';
import type { RebuildReport, RestoreReport } from './report.ts';
import { type RestoredEvent, restore } from './restore.ts';
import { assertUpcasts, upcast } from './schema.ts';
import type { CurrentDocument, EventDocument } from './types.ts';

export interface EventStoreOptions {
  db: Db;
  /** Lookup keys and claims by entity type. */
  entities?: RulesByType;
  /** Names of lookup keys that lists filter by: each gets an index. */
  lookups?: readonly string[];
  /** One mark for each reactor (relay) of this service; `published_at` is always one. */
  marks?: readonly Mark[];
  /** Age from which an abandoned claim may be taken over, in ms; far above any request's deadline. 60 s when not given. */
  claimGraceMs?: number;
  /** How long a command waits for another one to decide about a claim, in ms. 500 when not given. */
  claimPatienceMs?: number;
  /** Largest event document in bytes of BSON; well below what Kafka takes (1 MB). 512 KiB when not given. */
  maxEventBytes?: number;
  /** The present time, for tests. */
  now?: () => Date;
  log?: StoreLog;
}

export interface EventStore {
  readonly db: Db;
  readonly events: Collection<EventDocument>;
  readonly current: Collection<CurrentDocument>;
  readonly claims: Collection<ClaimDocument>;
  readonly marks: readonly Mark[];
  /** Creates what is missing; safe to call from several processes. */
  ensureIndexes(): Promise<void>;
  /** Decides and appends at most one event; see `Command`. */
  execute(command: Command): Promise<Executed>;
  /** An entity, deleted ones too; undefined when it has no events. */
  load(entityType: string, entityId: string): Promise<CurrentDocument | undefined>;
  /** An entity as it was at a version; undefined when it never had that version. */
  loadAt(entityType: string, entityId: string, version: number): Promise<CurrentDocument | undefined>;
  /** Brings `current` up to the events not yet published (or to all); gives how many entities were behind. */
  repair(scope?: 'unpublished' | 'all'): Promise<number>;
  /** Folds again from the first event, and makes `current` and the claims what follows; see `rebuild`. */
  rebuild(options?: RebuildOptions): Promise<RebuildReport>;
  /** Makes the folds that an earlier release left again with today's upcasts; gives how many were written. See `refold`. */
  refold(signal?: AbortSignal): Promise<number>;
  /** Entities found in `current`, those that an earlier release folded made again as they are read. */
  refreshed(entities: readonly CurrentDocument[]): Promise<CurrentDocument[]>;
  /** An event as one of today's schema, for a reactor; AppError `unavailable` when only a later release can read it. */
  upcast(event: EventDocument): EventDocument;
  /** Whether there are upcasts, and so perhaps folds that lack them. */
  readonly hasUpcasts: boolean;
  /** Inserts events that the audit has and the store has not; see `restore`. */
  restore(events: readonly RestoredEvent[], options?: { dryRun?: boolean }): Promise<RestoreReport>;
  /** Folds into `current` what these events hold beyond it; one query when nothing is missing. */
  ensureCurrent(events: readonly EventDocument[]): Promise<number>;
  /** Called after each append of this process; gives a function that ends it. */
  onAppend(listener: () => void): () => void;
}

/**
 * An event store in one database: `events` is the truth and the outbox, `current` its fold, `claims` what is unique.
 * One inserted document is the commit: no transaction anywhere.
 */
export function createEventStore(options: EventStoreOptions): EventStore {
  const { db, log = { warn: () => undefined } } = options;
  const durable = { writeConcern: { w: 'majority', journal: true }, ignoreUndefined: true } as const;
  const reading: Reading = {
    events: db.collection<EventDocument>('events', durable),
    current: db.collection<CurrentDocument>('current', durable),
    rules: options.entities ?? {},
  };
  for (const [entityType, rules] of Object.entries(reading.rules)) assertUpcasts(entityType, rules);
  const hasUpcasts = Object.values(reading.rules).some(({ upcasts }) => upcasts?.length);
  const claims = db.collection<ClaimDocument>('claims', durable);
  const { claimGraceMs: graceMs = 60_000, claimPatienceMs: patienceMs = 500 } = options;
  const listeners = new Set<() => void>();
  const parts: StoreParts = {
    ...reading,
    claims: createClaims({ db, claims, reading, graceMs, patienceMs }),
    marks: [...new Set<Mark>(['published_at', ...(options.marks ?? [])])],
    maxEventBytes: options.maxEventBytes ?? 512 * 1024,
    now: options.now ?? (() => new Date()),
    log,
    appended: () => {
      for (const listener of listeners) listener();
    },
  };
  return {
    db,
    claims,
    events: parts.events,
    current: parts.current,
    marks: parts.marks,
    ensureIndexes: () => ensureIndexes(parts, options.lookups ?? [], hasUpcasts),
    execute: (command) => execute(parts, command),
    load: async (entityType, entityId) => (await load(parts, entityType, entityId)).entity,
    loadAt: async (entityType, entityId, version) => {
      const entity = await catchUp(parts, entityType, entityId, undefined, version);
      return entity?.version === version ? entity : undefined;
    },
    repair: (scope = 'unpublished') => repair(parts, scope),
    rebuild: (rebuildOptions) => rebuild(parts, rebuildOptions),
    refold: (signal) => refold(parts, signal),
    refreshed: (entities) => refreshed(parts, entities),
    upcast: (event) => upcast(parts.rules[event.meta.entity_type], event),
    hasUpcasts,
    restore: (restored, restoreOptions) => restore(parts, restored, restoreOptions),
    ensureCurrent: (events) => ensureCurrent(parts, events),
    onAppend: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
