import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  getOwn,
  type JsonChange,
  type JsonObject,
  type JsonValue,
  jsonDiff,
  parseJson,
  pointerSteps,
  setOwn,
} from './index.ts';
import { seeded } from './testing/seeded.ts';

const diff = (before: string, after: string) => jsonDiff(parseJson(before), parseJson(after));

describe('jsonDiff', () => {
  it.each([
    ['{"a":1}', '{"a":1}', []],
    ['{"a":1,"b":2}', '{"b":2,"a":1}', []],
    ['{"a":1}', '{"a":2}', [{ op: 'replace', path: '/a', before: 1, after: 2 }]],
    ['{}', '{"a":null}', [{ op: 'add', path: '/a', after: null }]],
    ['{"a":null}', '{}', [{ op: 'remove', path: '/a', before: null }]],
    ['{"a":{}}', '{"a":[]}', [{ op: 'replace', path: '/a', before: {}, after: [] }]],
    ['{"a":"1"}', '{"a":1}', [{ op: 'replace', path: '/a', before: '1', after: 1 }]],
    ['[]', '{}', [{ op: 'replace', path: '', before: [], after: {} }]],
    [
      '{"z":1,"a":{"y":1,"x":1}}',
      '{"b":1,"a":{"x":2}}',
      [
        { op: 'replace', path: '/a/x', before: 1, after: 2 },
        { op: 'remove', path: '/a/y', before: 1 },
        { op: 'add', path: '/b', after: 1 },
        { op: 'remove', path: '/z', before: 1 },
      ],
    ],
  ])('%s → %s', (before, after, expected) => {
    expect(diff(before, after)).toEqual(expected);
  });

  it('compares lists by index, and takes items from the end', () => {
    expect(diff('[1,2,3,4]', '[1,9]')).toEqual([
      { op: 'replace', path: '/1', before: 2, after: 9 },
      { op: 'remove', path: '/3', before: 4 },
      { op: 'remove', path: '/2', before: 3 },
    ]);
    expect(diff('[1]', '[1,2,3]').map(({ path }) => path)).toEqual(['/1', '/2']);
  });

  it('escapes keys as RFC 6901 says, and cuts none', () => {
    const long = 'k'.repeat(3000);
    expect(diff('{}', `{"a/b":1,"m~n":2,"":3,"$where":4,"a.b":5,"${long}":6}`).map(({ path }) => path)).toEqual([
      '/',
      '/$where',
      '/a.b',
      '/a~1b',
      `/${long}`,
      '/m~0n',
    ]);
  });

  it('sees a change of one digit beyond 2^53, and of how a number is written', () => {
    const [change] = diff('{"n":9007199254740992}', '{"n":9007199254740993}');
    expect(JSON.stringify(change)).toBe('{"op":"replace","path":"/n","before":9007199254740992,"after":9007199254740993}');
    expect(diff('{"n":1}', '{"n":1.0}')).toHaveLength(1);
    expect(diff('{"n":12345678901234567890.10}', '{"n":12345678901234567890.10}')).toEqual([]);
    expect(diff('{"n":9007199254740993}', '{"n":"9007199254740993"}')).toHaveLength(1);
    expect(diff('{"n":9007199254740993}', '{"n":null}')).toHaveLength(1);
  });

  it('takes prototype keys for data', () => {
    expect(diff('{"__proto__":{"a":1}}', '{"__proto__":{"a":2},"constructor":1}')).toEqual([
      { op: 'replace', path: '/__proto__/a', before: 1, after: 2 },
      { op: 'add', path: '/constructor', after: 1 },
    ]);
    expect(diff('{}', '{"toString":1}')).toEqual([{ op: 'add', path: '/toString', after: 1 }]);
  });

  it('looks into no leaf', () => {
    const isLeaf = (value: JsonValue) => getOwn(value as JsonObject, 'sealed') !== undefined;
    const [before, after] = [
      { a: { sealed: 'x', n: 1 }, b: { sealed: 'y' } },
      { a: { sealed: 'z', n: 1 }, b: { sealed: 'y' } },
    ];
    expect(jsonDiff(before, after, isLeaf)).toEqual([{ op: 'replace', path: '/a', before: before.a, after: after.a }]);
  });

  it('begins from nothing, and ends in nothing', () => {
    expect(jsonDiff(undefined, { a: 1 })).toEqual([{ op: 'add', path: '', after: { a: 1 } }]);
    expect(jsonDiff({ a: 1 }, undefined)).toEqual([{ op: 'remove', path: '', before: { a: 1 } }]);
    expect(jsonDiff(undefined, undefined)).toEqual([]);
  });
});

describe('any two values', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  const random = seeded(seed);
  const runs = 5_000;

  it(`become one another when the changes are applied in order, backwards too (SEED=${seed})`, () => {
    for (let run = 0; run < runs; run += 1) {
      const before = randomValue(random, 4);
      const after = random() < 0.3 ? randomValue(random, 4) : altered(before, random);
      const texts = [JSON.stringify(before), JSON.stringify(after)];
      const changes = jsonDiff(before, after);
      expect(canonicalJson(applied(before, changes)), `SEED=${seed} ${texts.join(' → ')}`).toBe(canonicalJson(after));
      expect(canonicalJson(applied(after, changes.toReversed().map(inverse)))).toBe(canonicalJson(before));
      expect(changes.length === 0).toBe(canonicalJson(before) === canonicalJson(after));
      // Neither argument was changed, and members in another order change nothing.
      expect([JSON.stringify(before), JSON.stringify(after)]).toEqual(texts);
      expect(jsonDiff(parseJson(canonicalJson(before)), parseJson(canonicalJson(after)))).toEqual(changes);
    }
  });
});

function inverse(change: JsonChange): JsonChange {
  const { path } = change;
  if (change.op === 'add') return { op: 'remove', path, before: change.after };
  if (change.op === 'remove') return { op: 'add', path, after: change.before };
  return { op: 'replace', path, before: change.after, after: change.before };
}

/** RFC 6902, section 4, for the three operations; checks `before` as a `test` would. */
function applied(value: JsonValue, changes: readonly JsonChange[]): JsonValue {
  const root = { root: parseJson(JSON.stringify(value)) };
  for (const change of changes) {
    const steps = pointerSteps(`/root${change.path}`) ?? [];
    const last = steps.pop() as string;
    let parent: JsonValue = root;
    for (const step of steps)
      parent = Array.isArray(parent) ? (parent[Number(step)] as JsonValue) : (getOwn(parent as JsonObject, step) as JsonValue);
    if (change.op !== 'add') {
      const there = Array.isArray(parent) ? parent[Number(last)] : getOwn(parent as JsonObject, last);
      expect(canonicalJson(there as JsonValue)).toBe(canonicalJson(change.before));
    }
    if (Array.isArray(parent)) {
      if (change.op === 'add') expect(Number(last)).toBeLessThanOrEqual(parent.length);
      parent.splice(Number(last), change.op === 'add' ? 0 : 1, ...(change.op === 'remove' ? [] : [change.after]));
    } else if (change.op === 'remove') {
      delete (parent as JsonObject)[last];
    } else {
      expect(Object.hasOwn(parent as JsonObject, last)).toBe(change.op === 'replace');
      setOwn(parent as JsonObject, last, change.after);
    }
  }
  return root.root;
}

const scalars = ['null', 'true', 'false', '0', '-0', '1', '1.0', '1e2', '9007199254740993', '9007199254740992', '""', '"x"', '"1"'].map(
  (text) => parseJson(text),
);
const keys = ['a', 'b', '__proto__', 'constructor', '', 'a.b', '$where', '1', '0', 'a/b', '~', '~1', 'é'];

function randomValue(random: () => number, depth: number): JsonValue {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const kind = depth === 0 ? 0 : random();
  if (kind < 0.3) return pick(scalars);
  const count = Math.floor(random() * 4);
  if (kind < 0.6) return Array.from({ length: count }, () => randomValue(random, depth - 1));
  const object: JsonObject = {};
  for (let member = 0; member < count; member += 1) setOwn(object, pick(keys), randomValue(random, depth - 1));
  return object;
}

/** The value with some of its parts changed, gone, or new. */
function altered(value: JsonValue, random: () => number): JsonValue {
  if (random() < 0.15) return randomValue(random, 2);
  if (Array.isArray(value)) {
    const items = value.filter(() => random() < 0.85).map((item) => altered(item, random));
    return random() < 0.2 ? [...items, randomValue(random, 1)] : items;
  }
  if (typeof value !== 'object' || value === null || 'rawJSON' in value) return value;
  const copy: JsonObject = {};
  for (const key of Object.keys(value).toReversed()) {
    if (random() < 0.85) setOwn(copy, key, altered((value as JsonObject)[key] as JsonValue, random));
  }
  return copy;
}
