import { AppError } from '@biz/errors';
import { describe, expect, it } from 'vitest';
import { type At, cursorPrefix, readCursor, writeCursor } from './cursor.ts';

const from = new Map([['audit-1', 70]]);
const upto = new Map([
  ['audit-0', 5],
  ['audit-1', 1_000_000],
  ['audit-11', 3],
  ['other.topic-x-2', 1],
]);
const places: At[] = [
  { by: 'log', id: 'audit-0.000000000042' },
  { by: 'time', position: [Date.UTC(2026, 10, 20), 'audit-0.000000000042'] },
  { by: 'time', position: [-1, 'audit-0.000000000042'] },
  { by: 'version', position: ['kEy_-', 7] },
];

describe('a cursor', () => {
  it.each(places)('is read as it was written: %o', (at) => {
    const text = writeCursor(cursorPrefix('0123abcd', { from, upto }), at);
    expect(readCursor(text, '0123abcd')).toEqual({ from, upto, at });
    expect(encodeURIComponent(text).replaceAll('%3A', ':').replaceAll('%2C', ',')).toBe(text);
  });

  it('stays short', () => {
    const sizes = new Map(Array.from({ length: 12 }, (_, partition) => [`audit-${partition}`, 90_000_000 + partition]));
    const text = writeCursor(cursorPrefix('0123456789abcdef', { from: sizes, upto: sizes }), places[1] as At);
    expect(text.length).toBeLessThan(250);
  });

  it.each([
    '',
    'x',
    '0123abcd',
    '0123abcd~~',
    '0123abcd~~~l',
    '0123abcd~~~l~',
    '0123abcd~~~l~a~b',
    '0123abcd~~~t~1',
    '0123abcd~~~t~x!~audit-0.1',
    '0123abcd~~~t~zzzzzzzzzzz~audit-0.1',
    '0123abcd~~~v~key~1.5',
    '0123abcd~~~z~key~1',
    '0123abcd~~~constructor~key~1',
    '0123abcd~~audit~l~a',
    '0123abcd~~audit:~l~a',
    '0123abcd~~audit:-1~l~a',
    '0123abcd~~:1~l~a',
    `0123abcd~~audit:${'1.'.repeat(10_001)}1~l~a`,
    '0123abce~~~l~audit-0.1',
  ])('is nothing else: %j', (text) => {
    expect(() => readCursor(text, '0123abcd')).toThrow(AppError);
  });
});
