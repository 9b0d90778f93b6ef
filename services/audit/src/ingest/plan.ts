import type { DeadLetterCode, Fault, ReadEvent } from '@biz/envelope';
import { recordId } from '../keys.ts';
import { contentOf } from '../record.ts';
import { Places } from './places.ts';
import { Versions } from './versions.ts';

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
  /** The batch has several events of the entity: they are inserted one after the other, so that none gets in without the one before. */
  in_turn: boolean;
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

/**
 * Gives each message of a batch its place. Pure: the same snapshot and batch give the same plan, and a batch that is
 * delivered again, also cut differently, gets the places that its messages had (architecture, "Redelivery gives the
 * same leaves").
 */
export function planBatch(snapshot: Snapshot, batch: readonly Incoming[]): Plan {
  const places = new Places(snapshot);
  const versions = new Versions(snapshot.entities);
  const plan: Plan = { records: [], voids: [], heads: [], superseded: [], leaves: [], letters: [], duplicates: 0, size: snapshot.base };
  const seen = new Map<string, ReadEvent>();
  for (const message of batch) {
    if ('fault' in message) {
      plan.letters.push({ offset: message.offset, ...message.fault });
      continue;
    }
    const { event, eventKey, entityKey, offset } = message;
    const placed = places.of(offset, eventKey);
    if (placed !== undefined) {
      plan.voids.push(...places.fillUpTo(placed.leaf_index));
      plan.leaves.push({ event, leaf_index: placed.leaf_index, version: placed.version });
      versions.touch(entityKey, event);
      seen.set(eventKey, event);
      continue;
    }
    const double = verdictOf(message, snapshot, seen);
    if (double === 'other') {
      plan.letters.push(conflict(offset));
    } else if (double === 'same') {
      plan.duplicates += 1;
      places.passed(eventKey);
    } else {
      seen.set(eventKey, event);
      const leafIndex = places.next();
      const version = versions.next(entityKey, event, recordId(snapshot.log_id, leafIndex));
      plan.leaves.push({ event, leaf_index: leafIndex, version: version.version });
      plan.records.push({ event, entity_key: entityKey, leaf_index: leafIndex, offset, ...version, in_turn: false });
    }
  }
  plan.size = places.size;
  finish(plan, versions);
  return plan;
}

function verdictOf(
  message: Extract<Incoming, { event: ReadEvent }>,
  snapshot: Snapshot,
  seen: Map<string, ReadEvent>,
): 'new' | 'same' | 'other' {
  const known = snapshot.verdicts.get(message.offset);
  if (known !== undefined) {
    return known === 'other' ? 'other' : 'same';
  }
  const earlier = seen.get(message.eventKey);
  if (earlier === undefined) {
    return 'new';
  }
  return contentOf(earlier) === contentOf(message.event) ? 'same' : 'other';
}

function conflict(offset: number): { offset: number } & Letter {
  return {
    offset,
    code: 'event_id_conflict',
    faults: [{ path: '/metadata/event_id', message: 'the event id is that of a record with other content' }],
  };
}

function finish(plan: Plan, versions: Versions): void {
  for (const record of plan.records) {
    record.in_turn = versions.added(record.entity_key) > 1;
  }
  plan.heads.push(...versions.heads());
  plan.superseded.push(...versions.superseded());
}
