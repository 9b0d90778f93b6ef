import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { plainProgress, runSteps } from './progress.ts';

let said: string[];
beforeEach(() => {
  said = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void said.push(line));
});
afterEach(() => vi.restoreAllMocks());

test('a step waits for those that it needs, and for no other', async () => {
  const order: string[] = [];
  const slow = Promise.withResolvers<void>();
  const step = (name: string, needs: string[], before: Promise<void> = Promise.resolve()) => ({
    name,
    title: name,
    needs,
    run: async () => {
      await before;
      order.push(name);
      if (name === 'fleet') slow.resolve();
    },
  });
  await runSteps([step('seed', ['fleet']), step('keycloak', [], slow.promise), step('fleet', ['database']), step('database', [])], false);
  expect(order.slice(0, 2)).toEqual(['database', 'fleet']);
  expect(order.toSorted()).toEqual(['database', 'fleet', 'keycloak', 'seed']);
  expect(said).toContain('  seed: waiting for fleet');
});

test('the first failure is the failure, also of those that waited', async () => {
  const failing = { name: 'a', title: 'a', run: () => Promise.reject(new Error('port 1 is in use')) };
  const waiting = { name: 'b', title: 'b', needs: ['a'], run: async () => undefined };
  await expect(runSteps([waiting, failing], false)).rejects.toThrow('port 1 is in use');
});

test('the same thing going on is not said again at once', () => {
  const progress = plainProgress('mongodb');
  for (const text of ['building 0.1 min', 'building 0.2 min', 'starting']) progress(text);
  expect(said).toEqual(['mongodb: building 0.1 min', 'mongodb: starting']);
});
