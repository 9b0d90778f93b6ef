import type { Binary, Collection, Db, IndexDescription } from 'mongodb';
import type { FindingDocument } from './completeness/finding.ts';
import type { DeadLetterDocument, EntityDocument, LogState, VoidDocument } from './ingest/store.ts';
import type { RecordDocument } from './record.ts';
import type { VerificationDocument } from './verify/verifications.ts';

/** How far a log is. */
export interface LogDocument extends LogState {
  _id: string;
  next_offset: number;
  /** Root of the Merkle tree at `size` (RFC 6962). */
  root?: Binary;
  /** For each level of tiles the hashes of its unfinished tile; together they are all that is needed to go on. */
  edge?: Binary[];
  updated_at: Date;
}

/** A full tile of a log's tree: 256 hashes of one level. Written once (C2SP tlog-tiles, height 8). */
export interface TileDocument {
  _id: string;
  log_id: string;
  level: number;
  index: number;
  hashes: Binary;
}

/** A signed statement that a log's tree had this root at this size. */
export interface CheckpointDocument {
  _id: string;
  log_id: string;
  size: number;
  root: Binary;
  /** Signed note (C2SP tlog-checkpoint). */
  note: string;
  created_at: Date;
}

export interface OwnershipDocument {
  _id: string;
  company_id: string | null;
  ownership_id: string;
  ownership_id_long?: string;
  first_seen: Date;
  last_seen: Date;
  entity_types: string[];
  blind_document: string[];
  blind_email: string[];
  /** For each log, the records counted and the leaf up to which they are. */
  counts: Record<string, { upto: number; count: number }>;
  key_state: 'active' | 'erased';
  holds: string[];
  requests: string[];
}

export interface Collections {
  records: Collection<RecordDocument | VoidDocument>;
  /** The same collection, for queries for events only (`kind: 'event'`). */
  events: Collection<RecordDocument>;
  entities: Collection<EntityDocument>;
  ownerships: Collection<OwnershipDocument>;
  logs: Collection<LogDocument>;
  /** Full tiles and checkpoints; found by `_id` only. */
  tiles: Collection<TileDocument>;
  checkpoints: Collection<CheckpointDocument>;
  findings: Collection<FindingDocument>;
  deadLetters: Collection<DeadLetterDocument>;
  /** Found by `_id` only. */
  verifications: Collection<VerificationDocument>;
}

export function collectionsOf(db: Db): Collections {
  return {
    records: db.collection('records'),
    events: db.collection('records'),
    entities: db.collection('entities'),
    ownerships: db.collection('ownerships'),
    logs: db.collection('logs'),
    tiles: db.collection('tiles'),
    checkpoints: db.collection('checkpoints'),
    findings: db.collection('findings'),
    deadLetters: db.collection('dead_letters'),
    verifications: db.collection('verifications'),
  };
}

/**
 * Indexes and what each serves. `_id` of records is log and leaf, so it serves the walk along a log and makes a place unique.
 * Lists are walked in order of time within the most telling filter that is given; what else is filtered is looked at on the way.
 */
export const indexes: Record<'records' | 'entities' | 'ownerships' | 'findings' | 'deadLetters', IndexDescription[]> = {
  records: [
    // An event is recorded once.
    { name: 'event_id', key: { event_id: 1 }, unique: true },
    // A version exists once; history, and lists of one entity.
    { name: 'entity_version', key: { entity_key: 1, version: 1 }, unique: true },
    // Lists of an ownership, of an owner, of a trace: few records each, whatever company asks.
    { name: 'ownership_time', key: { ownership_id: 1, action_at: 1, _id: 1 } },
    { name: 'owner_time', key: { owner_id: 1, action_at: 1, _id: 1 } },
    { name: 'trace_time', key: { trace_id: 1, action_at: 1, _id: 1 } },
    // Lists of a company: of one event type, and of everything by time.
    { name: 'company_event_type_time', key: { company_id: 1, event_type: 1, action_at: 1, _id: 1 } },
    { name: 'company_time', key: { company_id: 1, action_at: 1, _id: 1 } },
    // Lists across companies, for people of the platform.
    { name: 'time', key: { action_at: 1, _id: 1 } },
  ],
  // From an entity's type and id to its keys in all companies, for people of the platform.
  entities: [
    { name: 'entity', key: { entity_type: 1, entity_id: 1 } },
    { name: 'entity_id', key: { entity_id: 1 } },
  ],
  ownerships: [
    { name: 'ownership', key: { ownership_id: 1 } },
    { name: 'document', key: { company_id: 1, blind_document: 1 } },
    { name: 'email', key: { company_id: 1, blind_email: 1 } },
  ],
  findings: [
    // Lists: of one company and across them, of one status and of all.
    { name: 'time', key: { found_at: 1, _id: 1 } },
    { name: 'status_time', key: { status: 1, found_at: 1, _id: 1 } },
    { name: 'company_time', key: { company_id: 1, found_at: 1, _id: 1 } },
    { name: 'company_status_time', key: { company_id: 1, status: 1, found_at: 1, _id: 1 } },
    // What is to be healed.
    { name: 'status_kind', key: { status: 1, kind: 1, _id: 1 } },
    // What is to be told.
    { name: 'untold', key: { untold: 1, _id: 1 }, partialFilterExpression: { untold: true } },
  ],
  deadLetters: [
    { name: 'time', key: { received_at: 1, _id: 1 } },
    { name: 'code_time', key: { code: 1, received_at: 1, _id: 1 } },
    { name: 'status_time', key: { status: 1, received_at: 1, _id: 1 } },
    { name: 'place', key: { topic: 1, partition: 1, offset: 1 } },
  ],
};

/** Makes what is missing; to be called before the first write, since indexes on full collections take long. */
export async function ensureIndexes(collections: Collections): Promise<void> {
  await Promise.all(
    Object.entries(indexes).map(([name, list]) => (collections[name as keyof typeof indexes] as unknown as Collection).createIndexes(list)),
  );
}
