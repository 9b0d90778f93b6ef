import type { ReadEvent } from '@biz/envelope';
import { recordId } from '../keys.ts';
import { contentOf } from '../record.ts';
import type { Incoming, Letter, Plan, Snapshot } from './batch.ts';
import { Places } from './places.ts';
import { Versions } from './versions.ts';

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
      plan.records.push({ event, entity_key: entityKey, leaf_index: leafIndex, offset, ...version });
    }
  }
  plan.size = places.size;
  plan.heads.push(...versions.heads());
  plan.superseded.push(...versions.superseded());
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
