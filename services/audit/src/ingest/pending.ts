import type { ReadEvent } from '@biz/envelope';
import { indexKey, ownershipKey } from '../keys.ts';
import { eventOf, type RecordDocument } from '../record.ts';
import type { HeadRaise, Leaf } from './batch.ts';
import type { AuditStore, EntityDocument, LogState, OwnershipMerge } from './store.ts';

/**
 * Raises of heads and merges of ownerships that are put off while a backlog is worked off, so that an entity or owner that comes again
 * and again is written once for many batches. They are all in the records: a process that does not have them (it was
 * started again, or another one had the partition) makes them again from the leaves between `applied` and `size`.
 */
export class Pending {
  readonly #logs = new Map<string, LogPending>();

  /** What is put off of a log that is in this state. */
  async of(store: AuditStore, logId: string, { size, applied }: LogState): Promise<LogPending> {
    const known = this.#logs.get(logId);
    if (known !== undefined && known.applied === applied && known.size === size) {
      return known;
    }
    const pending = new LogPending(logId, applied, size);
    if (applied < size) {
      pending.addRecords(await store.recordsBetween(logId, applied, size));
    }
    return pending;
  }

  keep(pending: LogPending): void {
    this.#logs.set(pending.logId, pending);
  }

  /** Forgets what may not be as the store has it. */
  drop(logId: string): void {
    this.#logs.delete(logId);
  }
}

export class LogPending {
  readonly logId: string;
  readonly heads = new Map<string, EntityDocument>();
  readonly merges = new Map<string, OwnershipMerge>();
  /** Leaves whose effects are in the store. */
  applied: number;
  /** Leaves whose effects are in the store or here. */
  size: number;
  /** Blind indexes are in no record (there they are sealed), so they are not put off. */
  hasBlind = false;

  constructor(logId: string, applied: number, size: number) {
    this.logId = logId;
    this.applied = applied;
    this.size = size;
  }

  add(heads: readonly HeadRaise[], leaves: readonly Pick<Leaf, 'event' | 'leaf_index'>[]): void {
    for (const { entity_key, version, record_id, active, event } of heads) {
      this.#raise(entity_key, { version, record_id, is_active: active }, event);
    }
    for (const { event, leaf_index } of leaves) {
      this.#merge(event, leaf_index);
    }
  }

  addRecords(records: readonly RecordDocument[]): void {
    for (const record of records) {
      const event = eventOf(record, { payload: '', extra: null, owner_ip: '' });
      this.#raise(record.entity_key, { version: record.version, record_id: record._id, is_active: record.active_after }, event);
      this.#merge(event, record.leaf_index);
    }
  }

  /** All of it is in the store now. */
  done(size: number): void {
    this.applied = size;
    this.heads.clear();
    this.merges.clear();
    this.hasBlind = false;
  }

  #raise(key: string, head: Pick<EntityDocument, 'version' | 'record_id' | 'is_active'>, event: ReadEvent): void {
    if ((this.heads.get(key)?.version ?? 0) < head.version) {
      this.heads.set(key, {
        _id: key,
        company_id: event.company_id === null ? null : indexKey(event.company_id),
        entity_type: indexKey(event.entity_type),
        entity_id: indexKey(event.entity_id),
        log_id: this.logId,
        ...head,
      });
    }
  }

  #merge(event: ReadEvent, leafIndex: number): void {
    const key = ownershipKey(event.company_id, event.ownership_id);
    let merge = this.merges.get(key);
    if (merge === undefined) {
      merge = newMerge(key, event);
      this.merges.set(key, merge);
    }
    merge.leaves.push(leafIndex);
    if (event.action_at < merge.first_seen) merge.first_seen = event.action_at;
    if (event.action_at > merge.last_seen) merge.last_seen = event.action_at;
    addOnce(merge.entity_types, indexKey(event.entity_type));
    for (const kind of ['document', 'email'] as const) {
      const index = event.blind_indexes[kind];
      if (index !== undefined) {
        addOnce(merge[`blind_${kind}`], index);
        this.hasBlind = true;
      }
    }
  }
}

function newMerge(key: string, { company_id, ownership_id, action_at }: ReadEvent): OwnershipMerge {
  const owner = indexKey(ownership_id);
  return {
    _id: key,
    company_id: company_id === null ? null : indexKey(company_id),
    ownership_id: owner,
    ...(owner !== ownership_id && { ownership_id_long: ownership_id }),
    first_seen: action_at,
    last_seen: action_at,
    entity_types: [],
    blind_document: [],
    blind_email: [],
    leaves: [],
  };
}

function addOnce(list: string[], value: string): void {
  if (!list.includes(value)) {
    list.push(value);
  }
}
