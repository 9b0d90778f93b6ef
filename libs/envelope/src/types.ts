export const actionTypes = ['new', 'update', 'delete', 'disable', 'enable'] as const;
export type ActionType = (typeof actionTypes)[number];

export const deadLetterCodes = [
  'invalid_utf8',
  'invalid_json',
  'invalid_envelope',
  'unknown_schema_version',
  'event_id_conflict',
  'too_large',
  'unsupported_codec',
] as const;
export type DeadLetterCode = (typeof deadLetterCodes)[number];

/** One thing wrong with an envelope; `path` is a JSON Pointer into it. */
export interface Fault {
  path: string;
  message: string;
}

export interface BlindIndexes {
  document?: string;
  email?: string;
}

/** What one of our own events carries besides, so that a service can be made again from the audit. */
export interface EventBlindIndexes extends BlindIndexes {
  /** The same under the key of no company, for what is unique in all of them. */
  document_everywhere?: string;
  email_everywhere?: string;
}

/** Who did what to whom: what a service keeps beside an event's data, and the envelope's metadata tells. */
export interface EventMeta {
  entity_type: string;
  entity_id: string;
  action_type: ActionType;
  company_id: string | null;
  client_id: string | null;
  ownership_id: string;
  owner_id: string;
  owner_ip: string;
  owner_role: string;
  owner_type: 'user' | 'service';
  trace_id: string;
  traceparent: string;
  environment: string;
  blind_indexes?: EventBlindIndexes;
}

/** What `envelopeOf` needs of a service's event document (see @biz/eventstore). */
export interface EventSource {
  _id: string;
  version: number;
  type: string;
  schema_version: string;
  data: object;
  at: string;
  meta: EventMeta;
}

/** An envelope as the audit reads it, whoever wrote it. */
export interface ReadEvent {
  event_id: string;
  event_type: string;
  entity_type: string;
  entity_id: string;
  action_type: ActionType;
  /** The version that the producer names; null when it names none. */
  entity_version: number | null;
  producer_service: string;
  producer_service_id: string;
  /** As it came. */
  trace_id: string;
  /** The one form that is searched: 32 lower-case hex digits. */
  trace_key: string;
  /** As it came. */
  timestamp: string;
  /** The same as a point in time (milliseconds; further digits are only in `timestamp`). */
  action_at: Date;
  schema_version: string;
  owner_id: string;
  owner_ip: string;
  owner_role: string;
  owner_type: 'user' | 'service';
  ownership_id: string;
  company_id: string | null;
  client_id: string | null;
  environment: string | null;
  /** `fields` when the producer seals personal fields itself; else its payload is to be sealed whole. */
  sealing: 'fields' | null;
  blind_indexes: BlindIndexes;
  /** The payload as JSON text on one line, every number digit for digit. */
  payload: string;
  /** JSON text of all that has no place above, `{"envelope": {…}, "metadata": {…}}`; null when there is nothing. */
  extra: string | null;
  /** Which of `metadataNames` the producer wrote, one bit each: with it `metadataOf` tells given from derived. */
  named: number;
}

export type ReadResult = { ok: true; event: ReadEvent } | { ok: false; code: DeadLetterCode; faults: Fault[] };
