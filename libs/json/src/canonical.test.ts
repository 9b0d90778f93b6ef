import { describe, expect, it } from 'vitest';
import { canonicalJson, type JsonValue, parseJson, rawNumber, sha256Hex } from './index.ts';

describe('canonicalJson', () => {
  it('passes the example of RFC 8785, section 3.2.2', () => {
    const text = `{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\"\\/", "literals": [null, true, false]}`;
    expect(canonicalJson(JSON.parse(text) as JsonValue)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  it('sorts by UTF-16 code units: the example of section 3.2.3', () => {
    const value = {
      '€': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '😀': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      ö: 'Latin Small Letter O With Diaeresis',
    };
    const sorted = ['\r', '1', '\u0080', 'ö', '€', '😀', '\ufb33'];
    expect(Object.keys(JSON.parse(canonicalJson(value)) as object).sort()).toEqual(sorted);
    const text = canonicalJson(value);
    const places = sorted.map((key) => text.indexOf(JSON.stringify(key)));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  it('keeps exact numbers digit for digit', () => {
    expect(canonicalJson(parseJson('{"b":9007199254740993,"a":[1.0,-0]}'))).toBe('{"a":[1.0,-0],"b":9007199254740993}');
    expect(canonicalJson(rawNumber('1e999'))).toBe('1e999');
  });

  it('does not depend on the order of members, nor on prototype keys', () => {
    expect(canonicalJson(parseJson('{"__proto__":{"z":1,"y":2},"a":1}'))).toBe(
      canonicalJson(parseJson('{"a":1,"__proto__":{"y":2,"z":1}}')),
    );
    expect(canonicalJson(parseJson('{"constructor":1}'))).toBe('{"constructor":1}');
  });

  it('writes a lone surrogate as its escape, and refuses what JSON has no word for', () => {
    expect(canonicalJson('\ud800')).toBe('"\\ud800"');
    expect(() => canonicalJson(Number.NaN)).toThrow(TypeError);
  });

  it('hashes text as UTF-8', () => {
    expect(sha256Hex('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(sha256Hex('é')).toBe(sha256Hex(Buffer.from('é')));
  });
});
