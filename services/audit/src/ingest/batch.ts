import type { DeadLetterCode, Fault, ReadEvent } from '@biz/envelope';

/** A message of the batch, read: an event with its keys, or the reason why it is none. */
export type Incoming = { offset: number; event: ReadEvent; eventKey: string; entityKey: string } | { offset: number; fault: Letter };

export interface Letter {
  code: DeadLetterCode;
  faults: Fault[];
}

/** A record of this log that a former, unfinished try left at or above the base. */
export interface Placed {
  leaf_index: number;
  offset: number;
  event_id: string;
  entity_key: string;
  version: number;
}

export interface VersionAt {
  record_id: string;
  active: boolean;
}

/** The newest version of an entity. All below it exist, since a version is inserted only when the one before is there. */
export interface EntityState {
  version: number;
  newest: VersionAt;
  /** Records whose `is_active` is set. */
  flagged: readonly string[];
}

/** What the store says about a batch before it is planned. */
export interface Snapshot {
  log_id: string;
  /** Leaves of the log whose effects are complete. */
  base: number;
  placed: readonly Placed[];
  /** By offset, of messages whose event id has a record: this very message's, one with the same content, or with other content. */
  verdicts: ReadonlyMap<number, 'mine' | 'same' | 'other'>;
  entities: ReadonlyMap<string, EntityState>;
}

export interface NewRecord {
  event: ReadEvent;
  entity_key: string;
  leaf_index: number;
  offset: number;
  version: number;
  active_after: boolean;
}

export interface HeadRaise {
  entity_key: string;
  version: number;
  record_id: string;
  active: boolean;
  event: ReadEvent;
}

export interface Leaf {
  event: ReadEvent;
  leaf_index: number;
  version: number;
}

export interface Plan {
  records: NewRecord[];
  /** Places to fill: another log recorded their event first. */
  voids: { leaf_index: number; duplicate_of: string }[];
  heads: HeadRaise[];
  /**
   * Records that are no longer the newest, and still flagged. A record is inserted as active if it leaves its entity so; the one that
   * follows it takes the flag. So flags only ever go, and whoever repeats this takes nothing wrongly.
   */
  superseded: string[];
  /** Every leaf of this batch, also those that were there before. */
  leaves: Leaf[];
  letters: ({ offset: number } & Letter)[];
  duplicates: number;
  /** Leaves of the log after this batch. */
  size: number;
}
