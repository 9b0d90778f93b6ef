import { canonicalJson, type JsonObject, type JsonValue, setOwn } from '@biz/json';
import { Binary, BSON, Decimal128, type Document, Long, MaxKey, ObjectId, Timestamp } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { leafText } from './leaf.ts';

/** The same by its definition: RFC 8785 of a copy in which types are told apart. */
function byDefinition(document: Document): string {
  const { is_active: _, ...fields } = document;
  return canonicalJson(members(fields));
}

function members(object: object): JsonObject {
  const copy: JsonObject = {};
  for (const [name, value] of Object.entries(object)) setOwn(copy, name, plain(value));
  return copy;
}

function plain(value: unknown): JsonValue {
  if (value === undefined) return { $undefined: true };
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    return { $number: Object.is(value, -0) ? '-0' : String(value) };
  if (value === null || typeof value !== 'object') return value as JsonValue;
  if (value instanceof Date) return { $date: value.toISOString() };
  if (Array.isArray(value)) return value.map(plain);
  if (Object.getPrototypeOf(value) !== Object.prototype) return { $bson: BSON.EJSON.stringify(value) };
  return Object.keys(value).some((name) => name.startsWith('$')) ? { $object: members(value) } : members(value);
}

const values: unknown[] = [
  ...['', 'text', '"\\\n\u0000\u2028é😀', '$date', 'null'],
  ...[0, -0, 1, -1.5, 1e21, 1e-7, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, 0.1 + 0.2],
  ...[true, false, null, undefined],
  ...[new Date(0), new Date('2026-11-21T12:00:00.001Z')],
  ...[
    [],
    [[], [1, null]],
    {},
    { b: 1, a: { d: [], c: 2 } },
    { $date: '1970-01-01T00:00:00.000Z' },
    { a: { $number: 'NaN' } },
    { $object: {} },
  ],
  ...[{ '\u{1f600}': 1, '\ufb33': 2, '10': 3, '9': 4 }, { 'a.b': 1, 'a,b': 2 }, JSON.parse('{"__proto__":{"x":1},"constructor":2}')],
  ...[new Binary(Buffer.from('x')), new ObjectId('0123456789abcdef01234567'), Long.fromString('9007199254740993'), new MaxKey()],
  ...[Decimal128.fromString('1.10'), new Timestamp({ t: 1, i: 2 }), /x/i],
];

describe('the text of a leaf', () => {
  it('is the canonical JSON of the document, whatever is in it', () => {
    for (const [at, value] of values.entries()) {
      const next = values[(at + 7) % values.length];
      for (const document of [
        { z: value, a: next, is_active: true },
        { is_active: false, value },
        { [`n${at % 5}`]: value, Z: [next, value] },
      ]) {
        expect(leafText(document)).toBe(byDefinition(document));
      }
    }
    expect([leafText({}), leafText({ is_active: true })]).toEqual(['{}', '{}']);
  });

  it('tells apart what is not the same', () => {
    const texts = values.map((value) => leafText({ value }));
    expect(new Set(texts).size).toBe(values.length);
  });

  it('does not mix up documents whose names look alike when they are joined', () => {
    const texts = [{ 'a,b': 1 }, { a: 1, b: 1 }, { b: 1, a: 1 }, { a: 1, 'b,': 1 }, { 'a\u0001b': 1 }].map((one) => leafText(one));
    expect(texts).toEqual(['{"a,b":1}', '{"a":1,"b":1}', '{"a":1,"b":1}', '{"a":1,"b,":1}', '{"a\\u0001b":1}']);
  });

  it('goes on when there are more shapes than are remembered', () => {
    for (let index = 0; index < 1_500; index += 1) expect(leafText({ b: 1, [`a${index}`]: 2 })).toBe(`{"a${index}":2,"b":1}`);
  });
});
