import { describe, expect, it } from 'vitest';
import { decodeUtf8, JsonError, type JsonValue, parseJson, rawNumber } from './index.ts';
import { parseStrict } from './strict.ts';
import { seeded } from './testing/seeded.ts';

function failure(run: () => unknown): JsonError {
  try {
    run();
  } catch (error) {
    if (error instanceof JsonError) {
      return error;
    }
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('what is refused', () => {
  it.each([
    ['{"a":1,"a":2}', 'duplicate_key', '/a'],
    ['{"a":1,"\\u0061":2}', 'duplicate_key', '/a'],
    ['{"x":[0,{"b~/c":1,"b~/c":1}]}', 'duplicate_key', '/x/1/b~0~1c'],
    ['{"__proto__":1,"__proto__":2}', 'duplicate_key', '/__proto__'],
    ['{a:1}', 'syntax', ''],
    ['{"a":1,}', 'syntax', ''],
    ['[1 2]', 'syntax', ''],
    ['{"a":[01]}', 'syntax', '/a'],
    ['"\u0001"', 'syntax', ''],
    ['"\\x"', 'syntax', ''],
    ['"open', 'syntax', ''],
    ['1 1', 'syntax', ''],
    ['nul', 'syntax', ''],
    ['', 'syntax', ''],
    ['\ufeff{}', 'syntax', ''],
    ['NaN', 'syntax', ''],
    ['-', 'syntax', ''],
  ])('%s', (text, code, path) => {
    expect(failure(() => parseJson(text))).toMatchObject({ code, path });
  });

  it('counts levels, and stops long before the stack ends', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    expect(parseJson(nested(64))).toBeDefined();
    expect(failure(() => parseJson(nested(65))).code).toBe('too_deep');
    expect(failure(() => parseJson('{"a":'.repeat(10_000))).code).toBe('too_deep');
    expect(failure(() => parseJson(nested(3), { maxDepth: 2 })).path).toBe('/0/0');
    expect(() => parseJson('1', { maxDepth: 5000 })).toThrow(RangeError);
  });

  it('keeps pointers short, whatever keys come', () => {
    const text = `{"${'k'.repeat(5000)}":{"a":1,"a":2}}`;
    expect(failure(() => parseJson(text)).path.length).toBeLessThan(1100);
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(failure(() => decodeUtf8(Buffer.from([0x22, 0xff, 0xfe, 0x22]))).code).toBe('invalid_utf8');
    expect(failure(() => decodeUtf8(Buffer.from([0xed, 0xa0, 0x80]))).code).toBe('invalid_utf8');
    expect(decodeUtf8(Buffer.from('\ufeffé'))).toBe('\ufeffé');
  });
});

describe('prototype keys', () => {
  it('are own data, and touch no prototype', () => {
    for (const text of ['{"__proto__":{"polluted":1},"constructor":{"prototype":2}}', '{"\\u005f_proto__":{"polluted":1},"n":1.0}']) {
      const value = parseJson(text) as Record<string, unknown>;
      expect(Object.hasOwn(value, '__proto__')).toBe(true);
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect('polluted' in {}).toBe(false);
      expect(JSON.parse(JSON.stringify(value))).toEqual(JSON.parse(text));
    }
  });

  it('are refused when asked, in any spelling', () => {
    for (const text of ['{"a":{"__proto__":1}}', '{"a":{"\\u005f_proto__":1}}', '{"a":{"constructor":{}}}', '{"a":{"prototype":{}}}']) {
      expect(failure(() => parseJson(text, { protoKeys: 'reject' })).code).toBe('forbidden_key');
    }
    expect(parseJson('{"a":"__proto__ constructor \\\\"}', { protoKeys: 'reject' })).toEqual({ a: '__proto__ constructor \\' });
  });
});

describe('keys with escapes', () => {
  it('are what they say, also where the JSON.parse of Node 24 gives them another name', () => {
    expect(parseJson('[{"a":1},{"b":1,"\\u0061":2}]')).toEqual([{ a: 1 }, { b: 1, a: 2 }]);
    expect(parseJson('{"x":{"a":1,"1":1},"y":{"b":"\\n","\\u0061" : 2}}')).toEqual({ x: { a: 1, 1: 1 }, y: { b: '\n', a: 2 } });
  });
});

describe('numbers', () => {
  it.each(['9007199254740993', '-0', '1.0', '1e3', '0.1000', '123456789012345678901234567890', '1e999', '-1.5E-7', '5', '0.1', '-3'])(
    '%s comes back digit for digit',
    (token) => {
      expect(JSON.stringify(parseJson(`{"n":[${token}]}`))).toBe(`{"n":[${token}]}`);
      expect(JSON.stringify(parseJson(token))).toBe(token);
    },
  );

  it('stay plain doubles where a double is exact', () => {
    expect(parseJson('[1,0.5,-7,1500000,9007199254740991]')).toEqual([1, 0.5, -7, 1500000, 9007199254740991]);
    expect(parseJson('1.0')).toEqual(rawNumber('1.0'));
  });

  it('are doubles when asked, within their range', () => {
    expect(parseJson('[1.0,9007199254740993]', { numbers: 'double' })).toEqual([1, 9007199254740992]);
    expect(failure(() => parseJson('{"a":1e999}', { numbers: 'double' }))).toMatchObject({ code: 'syntax', path: '/a' });
  });
});

describe('the quick way and the strict scanner', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  const random = seeded(seed);

  it(`agree on ${20_000} random texts (SEED=${seed})`, () => {
    for (let run = 0; run < 20_000; run += 1) {
      const text = random() < 0.5 ? randomText(random, 5) : damage(randomText(random, 5), random);
      expect(
        outcome(() => parseJson(text)),
        text,
      ).toEqual(outcome(() => parseStrict(text, { maxDepth: 64, exact: true, rejectProtoKeys: false })));
    }
  });

  it(`accept nothing that JSON.parse refuses (SEED=${seed})`, () => {
    for (let run = 0; run < 20_000; run += 1) {
      const text = damage(randomText(random, 4), random);
      if (escapedKey.test(text)) {
        continue; // JSON.parse itself gets such a key wrong (see above).
      }
      const strict = outcome(() => parseStrict(text, { maxDepth: 64, exact: false, rejectProtoKeys: false }));
      const native = outcome(() => JSON.parse(text) as JsonValue);
      if (strict.startsWith('ok')) {
        expect(strict, text).toBe(native);
      } else if (native.startsWith('ok')) {
        expect(strict, text).toMatch(/duplicate_key|out of range/);
      }
    }
  });
});

const escapedKey = /\\.[^"]*"\s*:/;

function outcome(run: () => JsonValue): string {
  try {
    return `ok ${JSON.stringify(run())}`;
  } catch (error) {
    return error instanceof JsonError ? `${error.code} ${error.path} ${error.message}` : 'refused';
  }
}

const scalars = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '12',
  '1.0',
  '1.25',
  '1e5',
  '9007199254740993',
  '""',
  '"a:b,{[\\"]"',
  '"\\\\"',
  '"\\u00e9\\ud800"',
  '"é"',
  '"\\u0061"',
];
const keys = ['a', 'b', '__proto__', 'constructor', '', 'a.b', '$where', '1', '\\u0061', '\\\\'];

function randomText(random: () => number, depth: number): string {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const space = random() < 0.2 ? pick([' ', '\n', '\t ', '\r\n']) : '';
  const kind = depth === 0 ? 0 : random();
  if (kind < 0.4) {
    return space + pick(scalars) + space;
  }
  const items = Array.from({ length: Math.floor(random() * 4) }, () => randomText(random, depth - 1));
  return kind < 0.6
    ? `${space}[${items.join(',')}]${space}`
    : `${space}{${items.map((item) => `${space}"${pick(keys)}"${space}:${item}`).join(',')}}${space}`;
}

function damage(text: string, random: () => number): string {
  const at = Math.floor(random() * text.length);
  const noise = '{}[],:"\\0-1.eE+ tn\u0000\ufeff'.charAt(Math.floor(random() * 20));
  return random() < 0.5 ? text.slice(0, at) + text.slice(at + 1) : text.slice(0, at) + noise + text.slice(at);
}
