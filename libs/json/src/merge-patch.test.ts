import { describe, expect, it } from 'vitest';
import { type JsonValue, mergePatch, parseJson } from './index.ts';

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
