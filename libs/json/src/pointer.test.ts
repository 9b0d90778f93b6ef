import { expect, it } from 'vitest';
import { parseJson, pointerSteps, valueAt } from './index.ts';

it.each([
  // RFC 6901, section 5.
  ['', '{"foo":["bar","baz"],"":0,"a/b":1,"m~n":8}'],
  ['/foo', '["bar","baz"]'],
  ['/foo/0', '"bar"'],
  ['/', '0'],
  ['/a~1b', '1'],
  ['/m~0n', '8'],
])('%j is %s', (pointer, text) => {
  const value = parseJson('{"foo":["bar","baz"],"":0,"a/b":1,"m~n":8}');
  expect(JSON.stringify(valueAt(value, pointerSteps(pointer) as string[]))).toBe(text);
});

it('finds nothing that is not there, and nothing inherited', () => {
  const value = parseJson('{"list":[1],"n":1.0,"text":"x"}');
  for (const pointer of [
    '/nobody',
    '/list/1',
    '/list/-',
    '/list/00',
    '/list/length',
    '/n/rawJSON',
    '/text/0',
    '/constructor',
    '/__proto__',
    '/a/b',
  ]) {
    expect(valueAt(value, pointerSteps(pointer) as string[]), pointer).toBeUndefined();
  }
  expect(valueAt(undefined, [])).toBeUndefined();
  expect(pointerSteps('/~01')).toEqual(['~1']);
});

it.each(['a', 'a/b', '/~', '/~2', '#/a', ' /a'])('%j is no pointer', (text) => {
  expect(pointerSteps(text)).toBeUndefined();
});
