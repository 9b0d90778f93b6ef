import { expect, it } from 'vitest';
import { createGate } from './parts.ts';

it('lets so many in, lets so many wait, and sends the others away', async () => {
  const gate = createGate(1, 1);
  const never = new AbortController().signal;
  const first = Promise.withResolvers<string>();
  const running = gate(never, () => first.promise);
  await Promise.resolve();
  const order: string[] = [];
  const waiting = gate(never, async () => order.push('second'));
  expect(() => gate(never, async () => order.push('third'))).toThrow('try again');
  expect(order).toEqual([]);
  first.resolve('first');
  expect([await running, await waiting, order]).toEqual(['first', 1, ['second']]);
});

it('does nothing for a caller who went away meanwhile', async () => {
  const gate = createGate(1, 10);
  const first = Promise.withResolvers<void>();
  const running = gate(new AbortController().signal, () => first.promise);
  const caller = new AbortController();
  let ran = false;
  const waiting = gate(caller.signal, async () => {
    ran = true;
  });
  caller.abort(new Error('went away'));
  first.resolve();
  await expect(waiting).rejects.toThrow('went away');
  expect(await running).toBeUndefined();
  expect(ran).toBe(false);
});
