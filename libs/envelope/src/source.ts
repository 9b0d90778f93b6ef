import { getOwn, isJsonObject, type JsonObject, type JsonValue } from '@biz/json';
import { type ActionType, actionTypes, type EventBlindIndexes, type EventSource } from './types.ts';

/** Stands where the owner's address was dropped by retention: the unspecified address (RFC 1122, 3.2.1.3). */
export const lostAddress = '0.0.0.0';

/**
 * The event that one of our own envelopes was made of: the inverse of `envelopeOf`. Not in an envelope, and so not given back: which span
 * of the trace it was (`traceparent` names the trace, under a parent id made from the event id). Undefined for any other producer's envelope.
 */
export function sourceOf(envelope: JsonValue): EventSource | undefined {
  const metadata = isJsonObject(envelope) ? getOwn(envelope, 'metadata') : undefined;
  if (!isJsonObject(envelope) || !isJsonObject(metadata) || metadata.sealing !== 'fields') return undefined;
  const read = new Reader();
  const event_id = read.text(metadata, 'event_id');
  const trace_id = read.text(envelope, 'trace_id');
  const source: EventSource = {
    _id: event_id,
    version: read.version(metadata),
    type: read.text(envelope, 'event_type'),
    schema_version: read.text(metadata, 'event_schema_version'),
    data: read.object(envelope, 'payload'),
    at: read.text(envelope, 'timestamp'),
    meta: {
      entity_type: read.text(metadata, 'entity_type'),
      entity_id: read.text(metadata, 'entity_id'),
      action_type: read.oneOf<ActionType>(metadata, 'action_type', actionTypes),
      company_id: read.optional(metadata, 'company_id'),
      client_id: read.optional(metadata, 'client_id'),
      ownership_id: read.text(metadata, 'ownership_id'),
      owner_id: read.text(metadata, 'owner_id'),
      owner_ip: read.optional(metadata, 'owner_ip') ?? lostAddress,
      owner_role: read.text(metadata, 'owner_role'),
      owner_type: read.oneOf(metadata, 'owner_type', ['user', 'service'] as const),
      trace_id,
      traceparent: `00-${trace_id}-${parentId(event_id)}-00`,
      environment: read.text(metadata, 'environment'),
      ...(isJsonObject(metadata.blind_indexes) && { blind_indexes: metadata.blind_indexes as EventBlindIndexes }),
    },
  };
  return read.fits ? source : undefined;
}

/** The last 64 bits of a UUID: of the right form for a parent id (W3C Trace Context, 3.2.2.4). */
function parentId(eventId: string): string {
  return eventId.replaceAll('-', '').slice(-16);
}

/** Reads fields; `fits` is false once one was not of its form. */
class Reader {
  fits = true;

  text(object: JsonObject, name: string): string {
    const value = getOwn(object, name);
    return typeof value === 'string' && value !== '' ? value : this.#refuse('');
  }

  optional(object: JsonObject, name: string): string | null {
    const value = getOwn(object, name) ?? null;
    return value === null || typeof value === 'string' ? value : this.#refuse(null);
  }

  oneOf<Value extends string>(object: JsonObject, name: string, values: readonly Value[]): Value {
    const found = values.find((value) => value === getOwn(object, name));
    return found ?? this.#refuse(values[0] as Value);
  }

  object(object: JsonObject, name: string): JsonObject {
    const value = getOwn(object, name);
    return isJsonObject(value) ? value : this.#refuse({});
  }

  version(object: JsonObject): number {
    const value = getOwn(object, 'entity_version');
    return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : this.#refuse(0);
  }

  #refuse<Value>(value: Value): Value {
    this.fits = false;
    return value;
  }
}
