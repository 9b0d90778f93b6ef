import { describe, expect, it } from 'vitest';
import { type JsonValue, mergeInto, mergePatch, parseJson } from './index.ts';

describe('mergePatch', () => {
  // The test cases of RFC 7396, appendix A.
  it.each([
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', '{}'],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['["a","b"]', '["c","d"]', '["c","d"]'],
    ['{"a":"b"}', '["c"]', '["c"]'],
    ['{"a":"foo"}', 'null', 'null'],
    ['{"a":"foo"}', '"bar"', '"bar"'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
    ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ])('%s with %s', (target, patch, result) => {
    expect(JSON.stringify(mergePatch(parseJson(target), parseJson(patch)))).toBe(result);
    expect(JSON.stringify(mergeInto(parseJson(target), parseJson(patch)))).toBe(result);
  });

  it('changes neither argument and keeps digits', () => {
    const target = parseJson('{"a":{"n":9007199254740993},"b":1}');
    const patch = parseJson('{"a":{"m":1.0},"b":null}');
    expect(JSON.stringify(mergePatch(target, patch))).toBe('{"a":{"n":9007199254740993,"m":1.0}}');
    expect(JSON.stringify([target, patch])).toBe('[{"a":{"n":9007199254740993},"b":1},{"a":{"m":1.0},"b":null}]');
  });

  it('replaces a raw number as the scalar that it is', () => {
    expect(mergePatch(parseJson('1.0'), { a: 1 })).toEqual({ a: 1 });
    expect(mergePatch({ a: 1 }, parseJson('1.0'))).toEqual(parseJson('1.0'));
  });

  it('treats prototype keys as data', () => {
    const merged = mergePatch(
      parseJson('{"__proto__":{"a":1}}'),
      parseJson('{"__proto__":{"b":2},"constructor":{"prototype":{"x":1}}}'),
    ) as Record<string, JsonValue>;
    expect(JSON.stringify(merged)).toBe('{"__proto__":{"a":1,"b":2},"constructor":{"prototype":{"x":1}}}');
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect('b' in {} || 'x' in {}).toBe(false);
  });
});

describe('mergeInto', () => {
  it('changes the target, and gives what mergePatch gives, byte for byte', () => {
    const patches = [
      '{"a":{"n":9007199254740993,"__proto__":{"x":1}},"b":1,"1":0}',
      '{"b":null,"a":{"__proto__":{"x":null,"y":2},"n":1.0}}',
      '{"b":{"c":null,"d":[null]},"a":{"constructor":{"prototype":1}}}',
      '{"a":[1],"0":{"toString":{"z":1}}}',
    ];
    const target: JsonValue = {};
    let copied: JsonValue = {};
    for (const patch of patches) {
      copied = mergePatch(copied, parseJson(patch));
      expect(mergeInto(target, parseJson(patch))).toBe(target);
      expect(JSON.stringify(target)).toBe(JSON.stringify(copied));
    }
    expect('x' in {} || 'y' in {} || 'z' in {}).toBe(false);
  });

  it('replaces leaves, and merges nothing into them', () => {
    const isLeaf = (value: JsonValue) => Object.hasOwn(value as object, 'sealed');
    const merge = (target: string, patch: string) => JSON.stringify(mergeInto(parseJson(target), parseJson(patch), isLeaf));
    expect(merge('{"a":{"b":1}}', '{"a":{"sealed":"x"}}')).toBe('{"a":{"sealed":"x"}}');
    expect(merge('{"a":{"sealed":"x"}}', '{"a":{"b":1}}')).toBe('{"a":{"b":1}}');
    expect(merge('{"a":{"sealed":"x"}}', '{"a":{"sealed":"y"}}')).toBe('{"a":{"sealed":"y"}}');
    expect(merge('{"a":{"sealed":"x"}}', '{"a":null}')).toBe('{}');
  });
});
