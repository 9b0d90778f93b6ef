import { expect, it } from 'vitest';
import { createBudget } from './budget.ts';

it('gives what was saved at once, then as much as time brings, and saves no more than its bound', () => {
  let now = 0;
  const take = createBudget(1_000, 3, () => now);
  const taken = () => {
    let count = 0;
    while (take()) count += 1;
    return count;
  };
  expect(taken()).toBe(3);
  now += 2;
  expect(taken()).toBe(2);
  now += 0.5;
  expect(taken()).toBe(0);
  now += 0.5;
  expect(taken()).toBe(1);
  now += 60_000;
  expect(taken()).toBe(3);
});
