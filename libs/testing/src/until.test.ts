import { expect, test } from 'vitest';
import { until } from './until.ts';

test('gives back what the condition gave, once it is truthy', async () => {
  let calls = 0;
  expect(await until(() => (++calls < 3 ? undefined : { calls }), { what: 'the third call' })).toEqual({ calls: 3 });
});

test('a condition that throws is not yet met', async () => {
  let calls = 0;
  const condition = () => {
    if (++calls < 2) throw new Error('not there');
    return 'there';
  };
  expect(await until(condition, { what: 'it' })).toBe('there');
});

test('says what was awaited and what was last seen', async () => {
  await expect(until(() => 0, { what: 'a lag of zero', timeoutMs: 1 })).rejects.toThrow('waited 1 ms for a lag of zero; last seen: 0');
  const failing = () => Promise.reject(new Error('refused'));
  await expect(until(failing, { what: 'the port', timeoutMs: 1 })).rejects.toThrow('last error: refused');
});
