import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownShape, readServiceConfig } from './config.ts';

it('names every fault at once', () => {
  expect(() => readServiceConfig({})).toThrow(/GRPC_LISTEN[\s\S]*MONGODB_URL/);
});

it('is told in README.md, setting by setting', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const told = new Set(readme.match(/`[A-Z][A-Z_]{3,}`/g)?.map((name) => name.slice(1, -1)));
  expect(Object.keys(ownShape).filter((name) => !told.has(name))).toEqual([]);
});
