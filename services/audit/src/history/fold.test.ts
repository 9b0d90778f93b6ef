import { type JsonObject, parseJson } from '@biz/json';
import { describe, expect, it } from 'vitest';
import { Fold, type Folded, type Step } from './fold.ts';

const MAX = 1_000_000;

type Part = Omit<Partial<Step>, 'patch'> & { patch?: string | Step['patch'] };

/** Steps as they come: versions from 1, a minute between them; payloads as JSON texts. */
function folded(parts: readonly Part[], maxSize = MAX): Folded {
  const fold = new Fold(maxSize);
  for (const [index, { patch = '{}', ...part }] of parts.entries()) {
    const isText = typeof patch === 'string' && patch !== 'sealed' && patch !== 'erased';
    fold.push({
      version: index + 1,
      entity_version: null,
      record_id: `r-${index + 1}`,
      action_type: index === 0 ? 'new' : 'update',
      action_at: new Date(index * 60_000),
      size: isText ? patch.length : 0,
      ownership_id: 'own-1',
      patch: isText ? (parseJson(patch) as JsonObject) : patch,
      ...part,
    });
  }
  return fold.result();
}

const stateOf = (parts: readonly Part[]) => JSON.stringify(folded(parts).state);

describe('a fold', () => {
  it('merges payloads in order, digit for digit, whatever the keys', () => {
    expect(
      stateOf([
        { patch: '{"id":9007199254740993,"a":{"b":1.0,"c":2},"$where":"x"}' },
        { patch: '{"a":{"c":null,"a.b":3},"__proto__":{"x":1}}' },
      ]),
    ).toBe('{"id":9007199254740993,"a":{"b":1.0,"a.b":3},"$where":"x","__proto__":{"x":1}}');
    expect('x' in {}).toBe(false);
  });

  it('keeps a deleted state, and begins from nothing with what is new after it', () => {
    const gone = [{ patch: '{"a":1,"b":2}' }, { patch: '{"by":"u"}', action_type: 'delete' }] as const;
    expect(folded(gone)).toMatchObject({ state: { a: 1, b: 2, by: 'u' }, deleted: true, active: false });
    expect(folded([...gone, { patch: '{"c":3}', action_type: 'new' }])).toMatchObject({
      state: { c: 3 },
      deleted: false,
      active: true,
      records: 3,
    });
    // An update neither wakes it nor begins anew; enabling does wake it, with what it had.
    const touched = [...gone, { patch: '{"c":3}' }];
    expect(folded(touched)).toMatchObject({ state: { a: 1, c: 3 }, deleted: true, active: false });
    expect(folded([...touched, { action_type: 'enable' }])).toMatchObject({ state: { a: 1, c: 3 }, deleted: false, active: true });
    expect(folded([...touched, { patch: '{"d":4}', action_type: 'new' }]).state).toEqual({ d: 4 });
  });

  it('goes on with what is new without a delete before', () => {
    expect(folded([{ patch: '{"a":1}' }, { patch: '{"b":2}', action_type: 'new' }]).state).toEqual({ a: 1, b: 2 });
  });

  it('tells what it does not know, until a new beginning', () => {
    const parts: Part[] = [{ patch: '{"a":1}' }, { patch: 'sealed' }, { patch: 'erased' }, { patch: '{"b":2}' }, { patch: 'sealed' }];
    expect(folded(parts)).toMatchObject({
      state: { a: 1, b: 2 },
      known: 2,
      sealed: { count: 2, versions: [2, 5] },
      erased: { count: 1, versions: [3] },
      version: 5,
      last: { record_id: 'r-5' },
    });
    const anew = [
      ...parts,
      { action_type: 'delete' as const, patch: 'erased' as const },
      { action_type: 'new' as const, patch: '{"z":1}' },
    ];
    expect(folded(anew)).toMatchObject({
      state: { z: 1 },
      known: 1,
      sealed: { count: 0, versions: [] },
      erased: { count: 0, versions: [] },
    });
    expect(folded(Array.from({ length: 1500 }, () => ({ patch: 'erased' as const }))).erased).toMatchObject({
      count: 1500,
      versions: { length: 1000 },
    });
  });

  it('takes what is sealed for one value', () => {
    const sealed = '{"a":{"sealed":"s1.x.y.z"}}';
    expect(stateOf([{ patch: '{"a":{"b":1}}' }, { patch: sealed }])).toBe(sealed);
    expect(stateOf([{ patch: sealed }, { patch: '{"a":{"b":1}}' }])).toBe('{"a":{"b":1}}');
    // A key of that name is not enough.
    expect(stateOf([{ patch: '{"door":{"sealed":"yes"}}' }, { patch: '{"door":{"colour":"red"}}' }])).toBe(
      '{"door":{"sealed":"yes","colour":"red"}}',
    );
  });

  it('counts the versions that a producer named and that never came', () => {
    const named = (...versions: (number | null)[]) => folded(versions.map((entity_version) => ({ entity_version }))).missing;
    expect(named(1, 2, 3)).toBe(0);
    expect(named(1, 3, 3, 7)).toBe(4);
    expect(named(2)).toBe(1);
    expect(named(1, 5, null)).toBe(0);
  });

  it('is bounded, but not by what was replaced', () => {
    const long = (key: string) => ({ patch: `{"${key}":"${'x'.repeat(400)}"}` });
    expect(
      folded(
        Array.from({ length: 100 }, () => long('a')),
        1_000,
      ).state,
    ).toHaveProperty('a');
    expect(() => folded([long('a'), long('b'), long('c')], 1_000)).toThrow('larger than an answer');
  });

  it('is not changed by what comes after', () => {
    const fold = new Fold(MAX);
    const step = {
      version: 1,
      entity_version: null,
      record_id: 'r',
      action_type: 'new',
      action_at: new Date(0),
      size: 9,
      ownership_id: 'o',
    } as const;
    fold.push({ ...step, patch: { a: { b: 1 } } });
    const before = fold.result();
    fold.push({ ...step, version: 2, patch: { a: { b: 2 } }, ownership_id: 'p' });
    fold.push({ ...step, version: 3, patch: 'erased' });
    expect(before).toMatchObject({ state: { a: { b: 1 } }, version: 1, erased: { count: 0, versions: [] } });
    expect([...before.owners, ...fold.result().owners]).toEqual(['o', 'o', 'p']);
  });
});
