import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createProgress } from './arguments.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('progress is said after two seconds, then every five, also while one step takes long', () => {
  const said: string[] = [];
  const onProgress = createProgress((line) => said.push(line));
  onProgress('one');
  onProgress('two');
  vi.advanceTimersByTime(1_900);
  expect(said).toEqual([]);
  vi.advanceTimersByTime(200);
  expect(said).toEqual(['  … two']);
  vi.advanceTimersByTime(10_000);
  expect(said).toEqual(['  … two', '  … two', '  … two']);
});
