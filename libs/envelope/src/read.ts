import {
  canonicalJson,
  decodeUtf8,
  getOwn,
  isJsonObject,
  JsonError,
  type JsonObject,
  type JsonValue,
  parseJson,
  sha256Hex,
} from '@biz/json';
import { idText, metadataValues, splitMetadata } from './metadata.ts';
import { readTimestamp } from './time.ts';
import {
  type ActionType,
  actionTypes,
  type BlindIndexes,
  type DeadLetterCode,
  type Fault,
  type ReadEvent,
  type ReadResult,
} from './types.ts';

export interface EnvelopeLimits {
  /** Bytes of a message's value beyond which it is `too_large`. */
  maxBytes: number;
  /** Levels of nesting beyond which it is `invalid_json`. */
  maxDepth: number;
}

export const defaultLimits: EnvelopeLimits = { maxBytes: 1_000_000, maxDepth: 64 };

export interface EnvelopeMessage {
  value: Uint8Array | null;
  headers?: Readonly<Record<string, unknown>>;
}

/**
 * Reads any producer's envelope by the rules in this package's README. Never throws: what cannot be read
 * comes back as a dead-letter code with the JSON Pointer of every fault.
 */
export function readEnvelope(message: EnvelopeMessage, limits: EnvelopeLimits = defaultLimits): ReadResult {
  const { value } = message;
  if (value === null || value.byteLength === 0) {
    return refuse('invalid_json', '', 'the message has no value');
  }
  if (value.byteLength > limits.maxBytes) {
    return refuse('too_large', '', `${value.byteLength} bytes; at most ${limits.maxBytes} are read`);
  }
  let envelope: JsonValue;
  try {
    envelope = parseJson(decodeUtf8(value), { maxDepth: limits.maxDepth });
  } catch (error) {
    if (error instanceof JsonError) {
      return refuse(error.code === 'invalid_utf8' ? 'invalid_utf8' : 'invalid_json', error.path, `${error.message} (${error.position})`);
    }
    throw error;
  }
  return isJsonObject(envelope) ? readObject(envelope, message.headers ?? {}) : refuse('invalid_envelope', '', 'an object is expected');
}

function refuse(code: DeadLetterCode, path: string, message: string): ReadResult {
  return { ok: false, code, faults: [{ path, message }] };
}

function readObject(envelope: JsonObject, headers: Readonly<Record<string, unknown>>): ReadResult {
  const given = getOwn(envelope, 'metadata');
  const metadata = isJsonObject(given) ? given : {};
  const check = new Check();
  const schemaVersion = idText(getOwn(metadata, 'event_schema_version'));
  // What a later major means by its fields is not known, so nothing else of it is judged.
  if (schemaVersion !== undefined && !/^1(\.|$)/.test(schemaVersion)) {
    return refuse('unknown_schema_version', '/metadata/event_schema_version', `version ${schemaVersion.slice(0, 40)}; 1.x is read`);
  }
  if (!isJsonObject(given)) {
    check.fault('/metadata', 'an object is required');
  }
  const payload = getOwn(envelope, 'payload');
  if (!isJsonObject(payload)) {
    check.fault('/payload', 'an object is required');
  }
  const event = {
    ...readTop(envelope, check),
    ...readOwner(metadata, check),
    ...readOthers(metadata, check),
    schema_version: schemaVersion ?? '',
  };
  if (schemaVersion === undefined) {
    check.fault('/metadata/event_schema_version', 'is required');
  }
  const eventId = check.optionalId(metadata, 'event_id') ?? headerText(headers.event_id);
  const typeOfEvent = event.event_type.slice(0, event.event_type.lastIndexOf('.'));
  const entityType = check.optionalId(metadata, 'entity_type') ?? typeOfEvent;
  const entityId = check.optionalId(metadata, 'entity_id') ?? payloadId(payload, check);
  if (check.faults.length > 0) {
    return { ok: false, code: 'invalid_envelope', faults: check.faults };
  }
  const id = eventId ?? sha256Hex(canonicalJson(envelope));
  return {
    ok: true,
    event: withTexts(envelope, metadata, payload as JsonObject, {
      event_id: id,
      entity_type: entityType,
      entity_id: entityId ?? id,
      action_type: actionOf(metadata, event.event_type),
      ...event,
    }),
  };
}

type Head = Omit<ReadEvent, 'payload' | 'extra' | 'named'>;

function withTexts(envelope: JsonObject, metadata: JsonObject, payload: JsonObject, head: Head): ReadEvent {
  const { named, rest } = splitMetadata(metadata, metadataValues(head));
  const others = otherMembers(envelope);
  const extra =
    rest === null && others === null ? null : JSON.stringify({ ...(others && { envelope: others }), ...(rest && { metadata: rest }) });
  return { ...head, payload: JSON.stringify(payload), extra, named };
}

const topNames = new Set(['producer_service', 'producer_service_id', 'trace_id', 'timestamp', 'event_type', 'payload', 'metadata']);

function otherMembers(envelope: JsonObject): JsonObject | null {
  const others = Object.entries(envelope).filter(([key]) => !topNames.has(key));
  return others.length === 0 ? null : Object.fromEntries(others);
}

const MAX_PRODUCER_LENGTH = 128;
const tracePattern = /^(?:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/i;
const typePattern = /^[a-z0-9_]+(?:\.[a-z0-9_]+)+$/;

function readTop(envelope: JsonObject, check: Check) {
  const trace = check.text(envelope, '', 'trace_id');
  if (trace !== '' && !tracePattern.test(trace)) {
    check.fault('/trace_id', 'not 32 hex digits, nor a UUID');
  }
  const timestamp = check.text(envelope, '', 'timestamp');
  const actionAt = readTimestamp(timestamp);
  if (timestamp !== '' && actionAt === undefined) {
    check.fault('/timestamp', 'not an RFC 3339 date-time with a zone');
  }
  const type = check.text(envelope, '', 'event_type');
  if (type !== '' && !typePattern.test(type)) {
    check.fault('/event_type', 'not <entity_type>.<verb> in lower case, dots and underscores');
  }
  return {
    producer_service: check.text(envelope, '', 'producer_service', MAX_PRODUCER_LENGTH),
    producer_service_id: check.text(envelope, '', 'producer_service_id', MAX_PRODUCER_LENGTH),
    trace_id: trace,
    trace_key: trace.replaceAll('-', '').toLowerCase(),
    timestamp,
    action_at: actionAt ?? new Date(0),
    event_type: type,
  };
}

function readOwner(metadata: JsonObject, check: Check) {
  let older = false;
  const owner = (name: 'id' | 'ip' | 'role'): string => {
    const value = check.optionalId(metadata, `owner_${name}`);
    if (value !== undefined) {
      return value;
    }
    const olderValue = check.optionalId(metadata, `user_${name}`);
    if (olderValue === undefined) {
      check.fault(`/metadata/owner_${name}`, 'is required');
      return '';
    }
    older = true;
    return olderValue;
  };
  const fields = { owner_id: owner('id'), owner_ip: owner('ip'), owner_role: owner('role') };
  const type = getOwn(metadata, 'owner_type') ?? (older ? 'user' : undefined);
  if (type !== 'user' && type !== 'service') {
    check.fault('/metadata/owner_type', type === undefined ? 'is required' : 'not user, nor service');
  }
  return { ...fields, owner_type: type === 'service' ? ('service' as const) : ('user' as const) };
}

function readOthers(metadata: JsonObject, check: Check) {
  const version = getOwn(metadata, 'entity_version');
  const sealing = getOwn(metadata, 'sealing') === 'fields' ? ('fields' as const) : null;
  return {
    ownership_id: check.text(metadata, '/metadata', 'ownership_id'),
    company_id: check.optionalId(metadata, 'company_id') ?? null,
    client_id: check.optionalId(metadata, 'client_id') ?? null,
    environment: check.optionalId(metadata, 'environment') ?? null,
    entity_version: typeof version === 'number' && Number.isSafeInteger(version) && version > 0 ? version : null,
    sealing,
    blind_indexes: sealing === null ? {} : blindIndexes(getOwn(metadata, 'blind_indexes')),
  };
}

function blindIndexes(value: JsonValue | undefined): BlindIndexes {
  const found: BlindIndexes = {};
  if (isJsonObject(value)) {
    for (const kind of ['document', 'email'] as const) {
      const index = getOwn(value, kind);
      if (typeof index === 'string' && /^[0-9a-f]{64}$/.test(index)) {
        found[kind] = index;
      }
    }
  }
  return found;
}

function payloadId(payload: JsonValue | undefined, check: Check): string | undefined {
  return isJsonObject(payload)
    ? (check.optionalId(payload, 'public_id', '/payload') ?? check.optionalId(payload, 'id', '/payload'))
    : undefined;
}

const actionByVerb: ReadonlyMap<string, ActionType> = new Map(
  Object.entries({
    new: ['created', 'added', 'registered'],
    delete: ['removed', 'deleted'],
    disable: ['disabled', 'deactivated', 'blocked', 'suspended'],
    enable: ['enabled', 'activated', 'reactivated'],
  }).flatMap(([action, verbs]) => verbs.map((verb): [string, ActionType] => [verb, action as ActionType])),
);

function actionOf(metadata: JsonObject, eventType: string): ActionType {
  const named = getOwn(metadata, 'action_type');
  return actionTypes.find((action) => action === named) ?? actionByVerb.get(eventType.slice(eventType.lastIndexOf('.') + 1)) ?? 'update';
}

function headerText(header: unknown): string | undefined {
  const value = Array.isArray(header) ? header[0] : header;
  if (value instanceof Uint8Array) {
    try {
      return decodeUtf8(value) || undefined;
    } catch {
      return undefined;
    }
  }
  return typeof value === 'string' && value !== '' && value.isWellFormed() ? value : undefined;
}

/** Collects every fault, so that a producer sees them all at once. */
class Check {
  readonly faults: Fault[] = [];

  fault(path: string, message: string): void {
    this.faults.push({ path, message });
  }

  /** A required string; '' (and a fault) when it is not one. */
  text(object: JsonObject, at: string, name: string, maxLength = Number.POSITIVE_INFINITY): string {
    const value = getOwn(object, name);
    if (typeof value !== 'string' || value === '') {
      this.fault(`${at}/${name}`, value === undefined ? 'is required' : 'a non-empty string is expected');
      return '';
    }
    if (value.length > maxLength && [...value].length > maxLength) {
      this.fault(`${at}/${name}`, `longer than ${maxLength} characters`);
    }
    return this.#wellFormed(value, `${at}/${name}`);
  }

  /** A string or a number as text; undefined when there is no usable one. */
  optionalId(object: JsonObject, name: string, at = '/metadata'): string | undefined {
    const text = idText(getOwn(object, name));
    return text === undefined ? undefined : this.#wellFormed(text, `${at}/${name}`);
  }

  // Half a surrogate pair cannot be stored as UTF-8: two ids that differ in it would become one.
  #wellFormed(text: string, path: string): string {
    if (!text.isWellFormed()) {
      this.fault(path, 'has half a surrogate pair');
    }
    return text;
  }
}
