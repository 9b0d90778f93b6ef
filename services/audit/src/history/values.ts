import { canonicalJson, type JsonObject, type JsonValue, parseJson, pointerSteps, valueAt } from '@biz/json';
import type { Call } from '@biz/rpc';
import { openFields } from '@biz/sealing';
import { sealedFields } from '../ingest/seal.ts';
import { DEFAULT_PAGE_SIZE } from '../query/page.ts';
import { listRecords, type PageRequest, type RecordFilters } from '../query/records.ts';
import { narrow, scopeOf } from '../query/scope.ts';
import { originalOf, type RecordDocument } from '../record.ts';
import type { HistoryParts } from './parts.ts';
import { objectOf } from './source.ts';
import { isToken } from './token.ts';

export type FindValuesRequest = RecordFilters & PageRequest & { path: string; value?: string; company_id?: string };

/** Records of one read; whole records, of which each may be as large as a message. */
const READ_AT_ONCE = 100;

/** A page of records whose payload sets the path to the value; to be asked for by those only who may open payloads. */
export function findValues(parts: HistoryParts, request: FindValuesRequest, call: Call): Promise<object> {
  return parts.gate(call.signal, () => search(parts, request, call));
}

async function search({ collections, keyring, limits }: HistoryParts, request: FindValuesRequest, call: Call): Promise<object> {
  const { path, value, company_id, page_size, page_token, order, ...filters } = request;
  const scope = narrow(scopeOf(call.context), company_id);
  const steps = pointerSteps(path) ?? [];
  const isWanted = matcherOf(value);
  const most = page_size || DEFAULT_PAGE_SIZE;
  const items: object[] = [];
  let [searched, unreadable, bytes, token] = [0, 0, 0, page_token ?? ''];
  do {
    const read = {
      page_size: Math.min(READ_AT_ONCE, limits.searched - searched),
      ...(token && { page_token: token }),
      ...(order && { order }),
    };
    const page = await listRecords(collections, scope, filters, {
      ...read,
      defaultOrder: 'desc',
      deadline: call.deadline,
      list: `values ${JSON.stringify([path, value ?? ''])}`,
    });
    const found = await valuesAt(keyring, page.records, path, steps);
    token = page.next_page_token;
    for (const [index, record] of page.records.entries()) {
      const there = found[index];
      searched += 1;
      if (there === UNREADABLE) unreadable += 1;
      else if (there !== undefined && isWanted(there)) {
        const text = JSON.stringify(there);
        bytes += Buffer.byteLength(text);
        items.push({ ...plainOf(record), value: text });
      }
      // Half, since the last value came on top.
      if (items.length === most || bytes > limits.answerBytes / 2) {
        const isLast = index === page.records.length - 1;
        return { items, next_page_token: isLast ? token : page.tokenAfter(record), searched, unreadable };
      }
    }
    call.signal.throwIfAborted();
  } while (token !== '' && searched < limits.searched);
  return { items, next_page_token: token, searched, unreadable };
}

/** JSON is compared digit for digit; a text that is no JSON, or is the string itself, as a string. */
function matcherOf(value: string | undefined): (there: JsonValue) => boolean {
  if (!value) return () => true;
  const wanted = new Set([canonicalJson(value)]);
  try {
    wanted.add(canonicalJson(parseJson(value)));
  } catch {
    // a plain string
  }
  return (there) => wanted.has(canonicalJson(there));
}

const UNREADABLE = Symbol('unreadable');

/** What each payload has at the path: undefined where it does not name it. Opened all with one read of keys for whole payloads, and one for fields. */
async function valuesAt(
  keyring: HistoryParts['keyring'],
  records: readonly RecordDocument[],
  path: string,
  steps: readonly string[],
): Promise<(JsonValue | undefined | typeof UNREADABLE)[]> {
  const payloads = await openedPayloads(keyring, records);
  const fields = await openFields(
    keyring,
    records.map((record, index) => ({
      company_id: companyOf(record),
      data: payloads[index] ?? {},
      // What is in the way to the path, at it, or inside it; only what the producer sealed itself.
      mayOpen: (field) => record.sealing === 'fields' && (`${path}/`.startsWith(`${field}/`) || field.startsWith(`${path}/`)),
    })),
  );
  return records.map((_, index) => {
    if (payloads[index] === undefined) return UNREADABLE;
    const { data = {}, erased = [], invalid = [] } = fields[index] ?? {};
    const lost = [...erased, ...invalid].some((field) => isToken(valueAt(data, pointerSteps(field) ?? []) ?? null));
    return lost ? UNREADABLE : valueAt(data, steps);
  });
}

async function openedPayloads(keyring: HistoryParts['keyring'], records: readonly RecordDocument[]): Promise<(JsonObject | undefined)[]> {
  const sealed = records.filter(({ payload_state }) => payload_state === 'sealed');
  const items = sealed.map((record) => ({ company_id: companyOf(record), field: sealedFields.payload, token: record.payload ?? '' }));
  const opened = items.length > 0 ? await keyring.open(items) : [];
  const texts = new Map(sealed.map((record, index) => [record, opened[index]]));
  return records.map((record) => {
    const result = texts.get(record);
    const text = record.payload_state === 'open' ? record.payload : result?.ok ? result.text : null;
    return objectOf(text);
  });
}

function companyOf(record: RecordDocument): string | null {
  return originalOf(record, 'company_id', record.company_id);
}

function plainOf(record: RecordDocument): object {
  const company_id = companyOf(record);
  return {
    record_id: record._id,
    entity_type: originalOf(record, 'entity_type', record.entity_type),
    entity_id: originalOf(record, 'entity_id', record.entity_id),
    ...(company_id !== null && { company_id }),
    version: record.version,
    event_type: originalOf(record, 'event_type', record.event_type),
    action_type: record.action_type,
    action_at: record.action_at.toISOString(),
    ownership_id: originalOf(record, 'ownership_id', record.ownership_id),
    owner_id: originalOf(record, 'owner_id', record.owner_id),
    owner_role: record.owner_role,
    trace_id: record.trace_id,
  };
}
