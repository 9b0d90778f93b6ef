import { metadataOf } from '@biz/envelope';
import { isJsonObject, type JsonObject, type JsonValue, jsonPointer, parseJson, setOwn } from '@biz/json';
import { isSealedValue, type Keyring, type OpenedFields, openFields } from '@biz/sealing';
import { sealedFields } from '../ingest/seal.ts';
import { leafOf } from '../leaf.ts';
import { eventOf, originalOf, type RecordDocument } from '../record.ts';
import type { Opening } from './scope.ts';

/** What stands in the place of a text that the caller may not open, or that cannot be opened any more. */
export const SEALED = '{"sealed":true}';
export const ERASED = '{"erased":true}';

/** Records as messages of the contract, with what the caller may open opened. */
export async function presentRecords(keyring: Keyring, records: readonly RecordDocument[], open: Opening): Promise<object[]> {
  const texts = await textsOf(keyring, records, open);
  return records.map((record, index) => ({ ...plainOf(record), ...texts[index] }));
}

function plainOf(record: RecordDocument): object {
  const event = eventOf(record, { payload: '', extra: null, owner_ip: '' });
  const { owner_ip: _, user_ip: __, ...metadata } = metadataOf(event);
  return {
    record_id: record._id,
    event_id: event.event_id,
    log_id: record.log_id,
    leaf_index: record.leaf_index,
    leaf_hash: leafOf(record).toString('hex'),
    entity_type: event.entity_type,
    entity_id: event.entity_id,
    version: record.version,
    action_type: record.action_type,
    action_at: record.action_at.toISOString(),
    received_at: record.received_at.toISOString(),
    is_active: record.is_active,
    event_type: event.event_type,
    producer_service: record.producer_service,
    producer_service_id: record.producer_service_id,
    trace_id: record.trace_id,
    owner_id: event.owner_id,
    owner_role: record.owner_role,
    owner_type: record.owner_type,
    ownership_id: event.ownership_id,
    ...(record.company_id !== null && { company_id: originalOf(record, 'company_id', record.company_id) }),
    ...(record.client_id !== undefined && { client_id: record.client_id }),
    clock_skew: record.clock_skew,
    metadata: JSON.stringify(metadata),
    ...(record.entity_version !== undefined && { entity_version: record.entity_version }),
    trace_id_as_sent: event.trace_id,
    timestamp_as_sent: event.timestamp,
  };
}

interface Texts {
  payload: string;
  extra: string;
  owner_ip?: string;
  sealed_fields: string[];
  erased_fields: string[];
}

async function textsOf(keyring: Keyring, records: readonly RecordDocument[], open: Opening): Promise<Texts[]> {
  const [whole, fields] = await Promise.all([openWhole(keyring, records, open), openInside(keyring, records, open)]);
  return records.map((record, index) => {
    const { payload, extra, owner_ip } = whole[index] as Record<TokenField, string>;
    return {
      payload: record.payload_state === 'open' ? (fields.get(record._id) ?? record.payload ?? 'null') : payload,
      extra: record.extra === undefined ? 'null' : extra,
      ...(owner_ip !== SEALED && owner_ip !== ERASED && { owner_ip }),
      sealed_fields: owner_ip === SEALED ? ['owner_ip'] : [],
      erased_fields: owner_ip === ERASED ? ['owner_ip'] : [],
    };
  });
}

const tokenFields = ['payload', 'extra', 'owner_ip'] as const;
type TokenField = (typeof tokenFields)[number];

/** The texts that the audit sealed as a whole; those that it may not or cannot open say so. */
async function openWhole(keyring: Keyring, records: readonly RecordDocument[], open: Opening): Promise<Record<TokenField, string>[]> {
  const items: { company_id: string | null; field: string; token: string; at: number; name: TokenField }[] = [];
  const shown = records.map((record, at) => {
    const texts: Record<TokenField, string> = { payload: ERASED, extra: ERASED, owner_ip: ERASED };
    for (const name of tokenFields) {
      const token = name === 'payload' && record.payload_state === 'open' ? null : record[name];
      if (token) {
        texts[name] = SEALED;
        if (!(name === 'owner_ip' ? open.owner_ip : open.payload)) continue;
        // Addresses are under keys of no company.
        const company_id = name === 'owner_ip' ? null : originalOf(record, 'company_id', record.company_id);
        items.push({ company_id, field: sealedFields[name], token, at, name });
      }
    }
    return texts;
  });
  const opened = items.length > 0 ? await keyring.open(items) : [];
  for (const [index, result] of opened.entries()) {
    const { at, name } = items[index] as (typeof items)[number];
    const texts = shown[at] as Record<TokenField, string>;
    texts[name] = result.ok ? result.text : result.reason === 'erased' ? ERASED : SEALED;
  }
  return shown;
}

/** Payloads whose producer seals single fields, by record id; each field that stays closed says so in its place. */
async function openInside(keyring: Keyring, records: readonly RecordDocument[], open: Opening): Promise<Map<string, string>> {
  const affected = records.filter(
    ({ sealing, payload_state, payload }) => sealing === 'fields' && payload_state === 'open' && payload?.includes('"sealed"'),
  );
  const targets = affected.map((record) => ({
    company_id: originalOf(record, 'company_id', record.company_id),
    data: parseJson(record.payload as string) as JsonObject,
    mayOpen: () => open.payload,
  }));
  const results = await openFields(keyring, targets);
  return new Map(
    affected.map((record, index) => [
      record._id,
      JSON.stringify(shownFields(results[index] ?? { data: {}, sealed: [], erased: [], invalid: [] })),
    ]),
  );
}

/** Data with its opened fields; each field that stayed closed says so in its place. */
export function shownFields({ data, sealed, erased, invalid }: OpenedFields): JsonObject {
  return masked(data, [], new Set([...sealed, ...erased, ...invalid]), new Set(erased)) as JsonObject;
}

/** The value with each closed field (by its JSON Pointer) replaced by what may be said of it. */
function masked(value: JsonValue, path: (string | number)[], closed: ReadonlySet<string>, erased: ReadonlySet<string>): JsonValue {
  if (isSealedValue(value)) {
    const pointer = jsonPointer(path);
    if (closed.has(pointer)) {
      return erased.has(pointer) ? { erased: true } : { sealed: true };
    }
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => masked(item, [...path, index], closed, erased));
  }
  if (!isJsonObject(value)) {
    return value;
  }
  const copy: JsonObject = {};
  for (const key of Object.keys(value)) {
    setOwn(copy, key, masked(value[key] as JsonValue, [...path, key], closed, erased));
  }
  return copy;
}
