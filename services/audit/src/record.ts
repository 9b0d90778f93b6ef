import { type ActionType, type ReadEvent, rebuildEnvelope } from '@biz/envelope';
import { canonicalJson } from '@biz/json';
import { entityKey, indexKey, ownershipKey, recordId } from './keys.ts';

/** `open`: as the producer sent it (personal fields inside may be sealed by it). `sealed`: a token. `erased`: its key was destroyed before. */
export type TextState = 'open' | 'sealed' | 'erased';

/**
 * A record as it is stored: written once, never changed, but for the derived `is_active`. Fields that are indexed hold
 * index keys (see keys.ts); where that differs from what came, `long` has the original.
 */
export interface RecordDocument {
  /** The log and the place in it: `audit-0.000000000042`. */
  _id: string;
  /** `void`: the place of an event that another log recorded first, see plan.ts; it has no fields of an event. */
  kind: 'event' | 'void';
  log_id: string;
  leaf_index: number;
  /** Of the message in its partition. */
  offset: number;
  event_id: string;
  entity_key: string;
  version: number;
  entity_type: string;
  entity_id: string;
  action_type: ActionType;
  action_at: Date;
  received_at: Date;
  /** Derived: the newest version of an entity that is neither deleted nor disabled. */
  is_active: boolean;
  /** Whether the entity was active after this event; does not change when later versions come. */
  active_after: boolean;
  event_type: string;
  producer_service: string;
  producer_service_id: string;
  trace_id: string;
  /** As it came, when that is not `trace_id`. */
  trace_sent?: string;
  /** The producer's `timestamp` as it came, when that is not `action_at` written the usual way. */
  timestamp_sent?: string;
  schema_version: string;
  owner_id: string;
  owner_role: string;
  owner_type: 'user' | 'service';
  /** A token under the key of its month; null when that key was destroyed before. */
  owner_ip: string | null;
  ownership_id: string;
  company_id: string | null;
  client_id?: string;
  environment?: string;
  entity_version?: number;
  sealing?: 'fields';
  /** Which metadata the producer wrote itself: bits of `metadataNames` in @biz/envelope. */
  named: number;
  clock_skew: boolean;
  payload: string | null;
  payload_state: TextState;
  /** A token of the JSON text of all else that came; null when its key was destroyed before. */
  extra?: string | null;
  long?: Record<string, string>;
}

/** The place that a record gets, and what follows from its order. */
export interface Place {
  log_id: string;
  leaf_index: number;
  offset: number;
  version: number;
  active_after: boolean;
  is_active: boolean;
}

export interface SealedTexts {
  payload: string | null;
  payload_state: TextState;
  extra: string | null;
  owner_ip: string | null;
}

const indexed = ['event_id', 'event_type', 'entity_type', 'entity_id', 'owner_id', 'ownership_id', 'company_id'] as const;

/** The record of an event. More than `skewMs` between the producer's clock and ours is flagged. */
export function recordOf(event: ReadEvent, place: Place, texts: SealedTexts, receivedAt: Date, skewMs: number): RecordDocument {
  const { keys, long } = indexKeys(event);
  return {
    _id: recordId(place.log_id, place.leaf_index),
    kind: 'event',
    ...place,
    ...keys,
    entity_key: entityKey(event.company_id, event.entity_type, event.entity_id),
    action_type: event.action_type,
    action_at: event.action_at,
    received_at: receivedAt,
    producer_service: event.producer_service,
    producer_service_id: event.producer_service_id,
    trace_id: event.trace_key,
    ...(event.trace_id !== event.trace_key && { trace_sent: event.trace_id }),
    ...(event.timestamp !== event.action_at.toISOString() && { timestamp_sent: event.timestamp }),
    schema_version: event.schema_version,
    owner_role: event.owner_role,
    owner_type: event.owner_type,
    owner_ip: texts.owner_ip,
    ...(event.client_id !== null && { client_id: event.client_id }),
    ...(event.environment !== null && { environment: event.environment }),
    ...(event.entity_version !== null && { entity_version: event.entity_version }),
    ...(event.sealing !== null && { sealing: event.sealing }),
    named: event.named,
    clock_skew: Math.abs(event.action_at.getTime() - receivedAt.getTime()) > skewMs,
    payload: texts.payload,
    payload_state: texts.payload_state,
    ...(event.extra !== null && { extra: texts.extra }),
    ...(long && { long }),
  };
}

function indexKeys(event: ReadEvent): { keys: Pick<RecordDocument, (typeof indexed)[number]>; long: Record<string, string> | undefined } {
  const keys: Record<string, string | null> = {};
  let long: Record<string, string> | undefined;
  for (const name of indexed) {
    const value = event[name];
    const key = value === null ? null : indexKey(value);
    keys[name] = key;
    if (value !== null && key !== value) {
      long = { ...long, [name]: value };
    }
  }
  return { keys: keys as Pick<RecordDocument, (typeof indexed)[number]>, long };
}

/** A field as it came, also where the record holds an index key. */
export function originalOf(record: Pick<RecordDocument, 'long'>, name: (typeof indexed)[number], value: string): string;
export function originalOf(record: Pick<RecordDocument, 'long'>, name: (typeof indexed)[number], value: string | null): string | null;
export function originalOf(record: Pick<RecordDocument, 'long'>, name: (typeof indexed)[number], value: string | null): string | null {
  return record.long?.[name] ?? value;
}

/** The event that a record was made of, given its opened texts. Blind indexes are not kept apart from `extra`. */
export function eventOf(record: RecordDocument, texts: { payload: string; extra: string | null; owner_ip: string }): ReadEvent {
  const of = (name: (typeof indexed)[number]) => originalOf(record, name, record[name]) as string;
  return {
    event_id: of('event_id'),
    event_type: of('event_type'),
    entity_type: of('entity_type'),
    entity_id: of('entity_id'),
    action_type: record.action_type,
    entity_version: record.entity_version ?? null,
    producer_service: record.producer_service,
    producer_service_id: record.producer_service_id,
    trace_id: record.trace_sent ?? record.trace_id,
    trace_key: record.trace_id,
    timestamp: record.timestamp_sent ?? record.action_at.toISOString(),
    action_at: record.action_at,
    schema_version: record.schema_version,
    owner_id: of('owner_id'),
    owner_ip: texts.owner_ip,
    owner_role: record.owner_role,
    owner_type: record.owner_type,
    ownership_id: of('ownership_id'),
    company_id: originalOf(record, 'company_id', record.company_id),
    client_id: record.client_id ?? null,
    environment: record.environment ?? null,
    sealing: record.sealing ?? null,
    blind_indexes: {},
    payload: texts.payload,
    extra: texts.extra,
    named: record.named,
  };
}

/**
 * What two messages with one event id must have in common to be the same event: everything but the process that sent
 * it, since a relay that was started again sends an event a second time under another process id.
 */
export function contentOf(event: ReadEvent): string {
  const { producer_service_id: _, ...envelope } = rebuildEnvelope(event);
  return canonicalJson(envelope);
}

export function ownershipKeyOf(event: ReadEvent): string {
  return ownershipKey(event.company_id, event.ownership_id);
}
