import { getOwn, isRawNumber, type JsonObject, type JsonValue, parseJson } from '@biz/json';
import type { ReadEvent } from './types.ts';

/** The names of `metadata` that have a place of their own in a ReadEvent. The order is stored (as bits): only ever append. */
export const metadataNames = [
  'event_id',
  'event_schema_version',
  'environment',
  'owner_id',
  'owner_ip',
  'owner_role',
  'owner_type',
  'ownership_id',
  'company_id',
  'client_id',
  'entity_type',
  'entity_id',
  'entity_version',
  'action_type',
  'sealing',
  'user_id',
  'user_ip',
  'user_role',
] as const;
type MetadataName = (typeof metadataNames)[number];

const nameBits = new Map<string, number>(metadataNames.map((name, index) => [name, 1 << index]));

/** Splits metadata into the bits of what came in its own place, and all else. */
export function splitMetadata(
  metadata: JsonObject,
  values: Readonly<Record<MetadataName, JsonValue>>,
): { named: number; rest: JsonObject | null } {
  let named = 0;
  let rest: [string, JsonValue][] | null = null;
  for (const key of Object.keys(metadata)) {
    const bit = nameBits.get(key);
    // A value that was read in another form (a number as a string) or not at all stays with the rest, as it came.
    if (bit !== undefined && metadata[key] === values[key as MetadataName]) {
      named |= bit;
    } else {
      rest ??= [];
      rest.push([key, metadata[key] as JsonValue]);
    }
  }
  return { named, rest: rest && Object.fromEntries(rest) };
}

/** The value of each known name as the event holds it. */
export function metadataValues(event: Omit<ReadEvent, 'payload' | 'extra' | 'named'>): Record<MetadataName, JsonValue> {
  return {
    event_id: event.event_id,
    event_schema_version: event.schema_version,
    environment: event.environment,
    owner_id: event.owner_id,
    owner_ip: event.owner_ip,
    owner_role: event.owner_role,
    owner_type: event.owner_type,
    ownership_id: event.ownership_id,
    company_id: event.company_id,
    client_id: event.client_id,
    entity_type: event.entity_type,
    entity_id: event.entity_id,
    entity_version: event.entity_version,
    action_type: event.action_type,
    sealing: event.sealing,
    user_id: event.owner_id,
    user_ip: event.owner_ip,
    user_role: event.owner_role,
  };
}

/** The metadata as the producer wrote it, older names included; without what is only in `extra`. */
export function metadataOf(event: Omit<ReadEvent, 'payload' | 'extra'>): JsonObject {
  const values = metadataValues(event);
  return Object.fromEntries(metadataNames.filter((_, index) => event.named & (1 << index)).map((name) => [name, values[name]]));
}

/** The whole envelope again, equal as JSON to the one that was read. Throws JsonError when payload or extra are no JSON. */
export function rebuildEnvelope(event: ReadEvent): JsonObject {
  const extra = event.extra === null ? {} : (parseJson(event.extra) as JsonObject);
  return {
    ...objectAt(extra, 'envelope'),
    producer_service: event.producer_service,
    producer_service_id: event.producer_service_id,
    trace_id: event.trace_id,
    timestamp: event.timestamp,
    event_type: event.event_type,
    payload: parseJson(event.payload),
    metadata: { ...metadataOf(event), ...objectAt(extra, 'metadata') },
  };
}

function objectAt(object: JsonObject, key: string): JsonObject {
  return (getOwn(object, key) ?? {}) as JsonObject;
}

/** A string, or a number as the digits it came with; undefined for anything else and for the empty string. */
export function idText(value: JsonValue | undefined): string | undefined {
  if (typeof value === 'string') {
    return value === '' ? undefined : value;
  }
  if (typeof value === 'number') {
    return String(value);
  }
  return isRawNumber(value) ? value.rawJSON : undefined;
}
