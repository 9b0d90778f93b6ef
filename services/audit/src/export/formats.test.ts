import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadContract } from '@biz/protos';
import { describe, expect, it } from 'vitest';
import { exportFormats } from './formats.ts';
import { OCSF_VERSION } from './ocsf.ts';
import type { RecordMessage } from './record-message.ts';

const model = loadContract().message('biz.audit.v1.Record');
const payload = '{"big":12345678901234567890.10,"name":"Zuleica; \\"Prado\\""}';

function record(change: Partial<RecordMessage> = {}): RecordMessage {
  return {
    record_id: 'audit-0.000000000042',
    event_id: 'e-1',
    log_id: 'audit-0',
    leaf_index: 42,
    leaf_hash: 'ab'.repeat(32),
    entity_type: 'card',
    entity_id: 'c-1',
    version: 3,
    action_type: 'update',
    action_at: '2026-11-20T09:00:00.123Z',
    received_at: '2026-11-20T09:00:01.000Z',
    is_active: true,
    event_type: 'card.changed',
    producer_service: 'loyalty_service',
    producer_service_id: 'p-1',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    owner_id: 'u-7',
    owner_role: 'manager',
    owner_type: 'user',
    owner_ip: '203.0.113.7',
    ownership_id: 'own-1',
    company_id: 'company-a',
    clock_skew: false,
    payload,
    metadata: '{"event_schema_version":"1.0"}',
    extra: 'null',
    trace_id_as_sent: '4bf92f35-77b3-4da6-a3ce-929d0e0e4736',
    timestamp_as_sent: '2026-11-20T06:00:00.123-03:00',
    sealed_fields: [],
    erased_fields: [],
    ...change,
  };
}

/** One whose owner's address, or all, stays closed. */
function without(state: 'sealed' | 'erased', change: Partial<RecordMessage> = {}): RecordMessage {
  const { owner_ip: _, ...rest } = record({ payload: `{"${state}":true}`, ...change });
  return { ...rest, [`${state}_fields`]: ['owner_ip'] };
}

describe('ndjson', () => {
  const line = (one: RecordMessage) => exportFormats.ndjson.line(model, one, 'cur~1');

  it('is the record as everywhere, digit for digit, one a line, with its cursor', () => {
    const text = line(record());
    expect(text.endsWith('}\n')).toBe(true);
    expect(text.indexOf('\n')).toBe(text.length - 1);
    expect(text).toContain(`"payload":${payload}`);
    expect(JSON.parse(text)).toMatchObject({
      cursor: 'cur~1',
      record_id: 'audit-0.000000000042',
      leaf_index: 42,
      client_id: null,
      extra: null,
    });
    expect(JSON.parse(line(without('sealed')))).toMatchObject({ owner_ip: { sealed: true }, payload: { sealed: true } });
    expect(JSON.parse(line(without('erased')))).toMatchObject({ owner_ip: { erased: true }, payload: { erased: true } });
  });

  it('keeps line ends of texts inside the line', () => {
    expect(
      line(record({ owner_id: 'a\nb\u2028c' }))
        .trimEnd()
        .split('\n'),
    ).toHaveLength(1);
  });
});

describe('csv', () => {
  const head = exportFormats.csv.head(model);
  const names = head.trimEnd().split(',');
  const cells = (one: RecordMessage) => parseCsv(exportFormats.csv.line(model, one, 'cur~1'))[0] ?? [];
  const cell = (one: RecordMessage, name: string) => cells(one)[names.indexOf(name)];

  it('has a head, and a cell for each of its names', () => {
    expect(names).toEqual([...model.fields.map(({ name }) => name).filter((name) => !/^(sealed|erased)_fields$/.test(name)), 'cursor']);
    expect(head.endsWith('\r\n')).toBe(true);
    expect(cells(record())).toHaveLength(names.length);
    expect(cell(record(), 'payload')).toBe(payload);
    expect(cell(record(), 'cursor')).toBe('cur~1');
    expect([cell(record(), 'is_active'), cell(record(), 'version'), cell(record(), 'client_id'), cell(record(), 'extra')]).toEqual([
      'true',
      '3',
      '',
      '',
    ]);
    expect(cell(without('sealed'), 'owner_ip')).toBe('{"sealed":true}');
    expect(cell(without('erased'), 'owner_ip')).toBe('{"erased":true}');
  });

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', '＝1', '＋1', '－1', '＠x', '=cmd|"/c calc"!A1', '=1,2'])(
    'has no formula: %j',
    (text) => {
      expect(cell(record({ owner_id: text }), 'owner_id')).toBe(`'${text}`);
    },
  );

  it.each(['a,b', 'a"b', 'a\r\nb', 'a\nb', '"', ',', ' =1', "'", 'olá 😀', 'a\u0000b', '\u001b[31m', '\u202e'])('gives back %j', (text) => {
    const one = record({ owner_id: text });
    expect(cells(one)).toHaveLength(names.length);
    expect(cell(one, 'owner_id')).toBe(text);
  });
});

describe('ocsf', () => {
  const event = (one: RecordMessage) => JSON.parse(exportFormats.ocsf.line(model, one, 'cur~1'));

  it('is of the version whose schema it is held against', () => {
    expect(schema.version).toBe(OCSF_VERSION);
  });

  it.each([
    ['new', 1],
    ['update', 3],
    ['delete', 4],
    ['disable', 9],
    ['enable', 8],
  ] as const)('keeps the schema: %s', (action_type, activity) => {
    for (const one of [
      record({ action_type }),
      record({ action_type, owner_type: 'service', owner_ip: 'somewhere' }),
      without('sealed', { action_type }),
      without('erased', { action_type, payload: 'null' }),
    ]) {
      const told = event(one);
      expect(faults('entity_management', told)).toEqual([]);
      expect(told).toMatchObject({
        class_uid: schema.class_uid,
        class_name: schema.class_name,
        category_uid: schema.category_uid,
        category_name: schema.category_name,
        activity_id: activity,
        activity_name: schema.objects.entity_management?.attributes.activity_id?.enum?.[activity],
        type_uid: 300400 + activity,
      });
    }
  });

  it('has everything of the record, digit for digit', () => {
    const text = exportFormats.ocsf.line(model, record({ extra: '{"envelope":{"n":1.50}}' }), 'cur~1');
    expect(text).toContain(`"data":${payload}`);
    expect(text).toContain('"extra":{"envelope":{"n":1.50}}');
    expect(JSON.parse(text)).toMatchObject({
      time: Date.parse('2026-11-20T09:00:00.123Z'),
      metadata: { uid: 'e-1', log_name: 'audit-0', sequence: 42, tenant_uid: 'company-a', event_code: 'card.changed' },
      actor: { user: { uid: 'u-7', type: 'User' } },
      src_endpoint: { ip: '203.0.113.7' },
      entity: { uid: 'c-1', type: 'card', version: '3' },
      unmapped: { cursor: 'cur~1', record_id: 'audit-0.000000000042', ownership_id: 'own-1', owner_role: 'manager', is_active: true },
    });
  });

  it('says what is closed, and takes for an address only what is one', () => {
    expect(event(without('sealed'))).toMatchObject({ unmapped: { owner_ip: { sealed: true } }, entity: { data: { sealed: true } } });
    expect(event(without('erased')).unmapped.owner_ip).toEqual({ erased: true });
    expect(event(without('sealed'))).not.toHaveProperty('src_endpoint');
    expect(event(record({ owner_ip: 'unknown' }))).toMatchObject({ unmapped: { owner_ip: 'unknown' } });
    expect(event(record({ owner_ip: 'unknown' }))).not.toHaveProperty('src_endpoint');
  });

  it('would be told what is wrong', () => {
    const told = event(record());
    expect(faults('entity_management', { ...told, entity: { type: 'card' } })).toEqual([
      'entity: none of name, uid, device, group, org, policy, user',
    ]);
    expect(
      faults('entity_management', { ...told, time: undefined, made_up: 1, severity_id: 7, metadata: { ...told.metadata, sequence: '1' } }),
    ).toEqual(['made_up: not in the schema', 'metadata.sequence: not integer', 'severity_id: not one of its values', 'time: missing']);
  });
});

interface OcsfAttribute {
  type: string;
  array?: boolean;
  required?: boolean;
  enum?: Record<string, string>;
}
interface OcsfSchema {
  version: string;
  category_uid: number;
  category_name: string;
  class_uid: number;
  class_name: string;
  objects: Record<string, { at_least_one?: string[]; attributes: Record<string, OcsfAttribute> }>;
}

/** From OCSF's own schema (Apache-2.0), see the file. */
const schema: OcsfSchema = JSON.parse(readFileSync(join(import.meta.dirname, '../testing/ocsf-entity-management.json'), 'utf8'));

/** What of a value does not keep the schema. */
function faults(name: string, value: Record<string, unknown>, path = ''): string[] {
  const { attributes, at_least_one } = schema.objects[name] ?? { attributes: {} };
  const given = Object.keys(value).filter((key) => value[key] !== undefined);
  const found = given.flatMap((key) => {
    const attribute = attributes[key];
    if (!attribute) return [`${path}${key}: not in the schema`];
    return attributeFaults(attribute, value[key], path + key);
  });
  const missing = Object.keys(attributes).filter((key) => attributes[key]?.required && !given.includes(key));
  const none = at_least_one && !at_least_one.some((key) => given.includes(key));
  return [
    ...found,
    ...missing.map((key) => `${path}${key}: missing`),
    ...(none ? [`${path.slice(0, -1)}: none of ${at_least_one.join(', ')}`] : []),
  ].sort();
}

function attributeFaults({ type, enum: values }: OcsfAttribute, value: unknown, path: string): string[] {
  if (values && !(String(value) in values)) return [`${path}: not one of its values`];
  if (type === 'string') return typeof value === 'string' && value !== '' ? [] : [`${path}: not string`];
  if (type === 'integer' || type === 'long') return Number.isSafeInteger(value) ? [] : [`${path}: not ${type}`];
  if (type === 'boolean') return typeof value === 'boolean' ? [] : [`${path}: not boolean`];
  if (type === 'json') return [];
  if (typeof value !== 'object' || value === null) return [`${path}: not an object`];
  if (type === 'object') return [];
  return schema.objects[type] ? faults(type, value as Record<string, unknown>, `${path}.`) : [`${path}: ${type} is not known here`];
}

/** Rows and cells by RFC 4180, section 2. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  const cells = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/gy;
  for (let match = cells.exec(text); match; match = cells.exec(text)) {
    rows.at(-1)?.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (match[3] === '\r\n') {
      if (cells.lastIndex === text.length) break;
      rows.push([]);
    } else if (match[3] === '') break;
  }
  expect(cells.lastIndex).toBe(text.length);
  return rows;
}
