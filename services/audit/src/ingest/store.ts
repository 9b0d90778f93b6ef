import type { Edge, Tile } from '@biz/merkle';
import type { FindingDocument } from '../completeness/finding.ts';
import type { RecordDocument } from '../record.ts';
import type { EntityState, Placed } from './batch.ts';

export interface LogState {
  /** Leaves that are complete: their records are there, flags taken, findings and dead letters written. */
  size: number;
  /** Leaves whose entities and ownerships are written, too; behind `size` only while a backlog is worked off. */
  applied: number;
}

/** What a log becomes: `edge` has the unfinished tiles of its Merkle tree at that size. */
export interface LogAdvance extends LogState {
  next_offset: number;
  edge: Edge;
}

/** A record found by its event id. */
export interface FoundEvent {
  _id: string;
  event_id: string;
  log_id: string;
  offset: number;
}

export interface VoidDocument {
  _id: string;
  kind: 'void';
  log_id: string;
  leaf_index: number;
  event_id: string;
  entity_key: string;
  version: 0;
  received_at: Date;
  /** The event that was to be here; its record is in another log. */
  duplicate_of: string;
}

/** The newest version of an entity. */
export interface EntityDocument {
  _id: string;
  company_id: string | null;
  entity_type: string;
  entity_id: string;
  version: number;
  record_id: string;
  log_id: string;
  is_active: boolean;
}

/** What a batch adds to an ownership. */
export interface OwnershipMerge {
  _id: string;
  company_id: string | null;
  ownership_id: string;
  ownership_id_long?: string;
  first_seen: Date;
  last_seen: Date;
  entity_types: string[];
  blind_document: string[];
  blind_email: string[];
  /** Leaves of the log, ascending: those above what the ownership already counts are added. */
  leaves: number[];
}

export interface DeadLetterDocument {
  _id: string;
  code: string;
  errors: { path: string; message: string }[];
  topic: string;
  partition: number;
  offset: number;
  message_at: Date;
  received_at: Date;
  /** Token of the raw bytes as base64; null when there were none or their key was destroyed. */
  raw: string | null;
  raw_size: number;
  /** Only this many bytes are in `raw`; all of them are on the dead-letter topic. */
  raw_kept: number;
  /** The `event_id` header, which is part of what makes the event's identity. */
  event_id_header?: string;
  /** The `traceparent` header, when it is one. */
  traceparent?: string;
  status: 'open' | 'replayed';
  /** Who is at it, before anything is published. */
  attempt?: LetterReplay;
  /** Every event id under which it was (perhaps) published. */
  attempts?: string[];
  replayed?: LetterReplay;
}

/** As which event a dead letter is replayed, when and by whom. */
export interface LetterReplay {
  event_id: string;
  at: Date;
  by: string;
}

/**
 * What the consumer needs of a database, one method a step, each safe to repeat: a crash between any two of them ends,
 * after redelivery, in the same data.
 */
export interface AuditStore {
  /** How far the log is; zero for a log that is not known. Without an edge when it was begun before there were trees. */
  logState(logId: string): Promise<LogState & { edge: Edge | undefined }>;
  /** Records of the log at places from one to before another, in order; without voids. */
  recordsBetween(logId: string, from: number, to: number): Promise<RecordDocument[]>;
  /** Every document of the log at places from one to before another, whole, in order. */
  leavesBetween(logId: string, from: number, to: number): Promise<(RecordDocument | VoidDocument)[]>;
  /** Records of the log from a place on, in order. */
  placedFrom(logId: string, base: number): Promise<Placed[]>;
  findEvents(eventIds: readonly string[]): Promise<FoundEvent[]>;
  /** Whole records by id, for comparing contents. */
  records(ids: readonly string[]): Promise<RecordDocument[]>;
  /** From `entities`: quick, and behind the records when another consumer is at work or has crashed. */
  heads(entityKeys: readonly string[]): Promise<Map<string, EntityState>>;
  /** From the records themselves, those of the given versions and above. */
  exactStates(entityKeys: readonly string[], fromVersion: ReadonlyMap<string, number>): Promise<Map<string, EntityState>>;
  /** Inserts records in turn; false when one could not be, because its place, event id or version is taken: then nothing after it is. */
  insert(documents: readonly (RecordDocument | VoidDocument)[]): Promise<boolean>;
  /** Takes `is_active` from records. */
  clearActive(recordIds: readonly string[]): Promise<void>;
  /** Sets newest versions, never back to an older one. */
  raiseHeads(heads: readonly EntityDocument[]): Promise<void>;
  mergeOwnerships(logId: string, merges: readonly OwnershipMerge[]): Promise<void>;
  saveFindings(findings: readonly FindingDocument[]): Promise<void>;
  saveDeadLetters(letters: readonly DeadLetterDocument[]): Promise<void>;
  /** Full tiles, each inserted once: one that is there already has the same hashes, since its leaves never change. */
  saveTiles(logId: string, tiles: readonly Tile[]): Promise<void>;
  /** Gives a log that has none the edge of its size; nothing when it has moved meanwhile. */
  plantEdge(logId: string, edge: Edge): Promise<void>;
  /** Moves the log from `base` on; false when it is no longer there: another consumer has it. */
  advance(logId: string, base: number, to: LogAdvance): Promise<boolean>;
}
