import type { ActionType, EventBlindIndexes as BlindIndexes, EventMeta } from '@biz/envelope';
import type { JsonObject } from '@biz/json';

export type { ActionType, BlindIndexes, EventMeta };

/** A request that may come again: the same actor and key with the same hash is the same request. */
export interface Idempotency {
  actor: string;
  key: string;
  /** Keyed hash of the request, so that what it said is not kept. */
  hash: string;
}

/**
 * A place in an order that several entities share: its number is unique, so a decision that looked at all of them is
 * only appended if none of them changed since. A second unique index beside the version, in the same single insert.
 */
export interface Fence {
  key: string;
  number: number;
}

/** A document of `events`: the commit of one command, and its own outbox. Never changed but for its marks. */
export interface EventDocument {
  _id: string;
  stream_id: string;
  /** Of the entity; gapless from 1. */
  version: number;
  type: string;
  schema_version: string;
  /** RFC 7396 merge patch of the entity's state; personal values sealed. */
  data: JsonObject;
  at: string;
  meta: EventMeta;
  idempotency?: Idempotency;
  fence?: Fence;
  /** Who told of it, when it was handed over by a process that publishes nothing itself; `gateway_service`. This service when not given. */
  producer?: string;
  /** The relay's mark. Further reactors have theirs beside it, for example `synced_at`: null until they are done. */
  published_at: Date | null;
}

/** A document of `current`: the fold of an entity's events. Derived; dropped and made again at will. */
export interface CurrentDocument {
  _id: string;
  entity_type: string;
  version: number;
  last_event_id: string;
  state: JsonObject;
  company_id: string | null;
  client_id: string | null;
  status: string;
  created_at: string;
  updated_at: string;
  blind_indexes: BlindIndexes;
  /** Up to which upcast its events were read when it was folded; absent while the entity type has none. */
  schema_version?: string;
  /** What lists filter by: plain values or blind indexes. */
  keys: Record<string, string | string[]>;
}

/**
 * A step from one schema version of an entity type's events to the next one. It is applied whenever an older event is read, never to what is
 * stored. Pure, and total: it bears any patch of its event type, with or without the fields that it looks at. A sealed value stays in its
 * field, to which it is bound.
 */
export interface Upcast {
  /** The version that follows from it: `1.1`, `1.2`, … */
  to: string;
  /** By event type: the data as it would have been written at that version. The others' is the same in both. */
  events: Readonly<Record<string, (data: JsonObject) => JsonObject>>;
}

/** What an entity type adds to its fold. All functions are pure: a rebuild calls them again. */
export interface EntityRules {
  /** How older events are read; the last one's version is that of new events (`1.0` without any). */
  upcasts?: readonly Upcast[];
  /** Lookup keys of lists. A deleted entity has none. */
  keys?: (entity: Omit<CurrentDocument, 'keys'>) => Record<string, string | string[]>;
  /** What no other entity may have at the same time. A deleted entity has none. */
  claims?: (entity: CurrentDocument) => Claim[];
}

export interface Claim {
  /** The field that holds it, for the error message. */
  name: string;
  /** The value with all that it must be unique in; at most 200 characters (hash longer ones). */
  key: string;
}

/** What a decision gives: an event without what the store adds. */
export interface Draft {
  type: string;
  data: JsonObject;
  meta: Omit<EventMeta, 'entity_type' | 'entity_id'>;
}
