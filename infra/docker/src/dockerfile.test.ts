import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '@biz/local';
import { expect, test } from 'vitest';
import { commandOf, readDockerfile } from './dockerfile.ts';

const { globals, stages } = readDockerfile();
const last = stages.at(-1);
const steps = (kind: string) =>
  stages.flatMap((stage) => stage.steps.filter((step) => step.kind === kind).map((step) => ({ stage: stage.name, ...step })));

test('stages are made of the one base image, or of each other, and copy from stages that come before', () => {
  expect([...globals.keys()]).toEqual(['NODE_IMAGE']);
  const { devDependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
  expect(globals.get('NODE_IMAGE')).toBe(`node:${devDependencies.node}-slim`);
  const names: string[] = [];
  for (const { name, base, steps } of stages) {
    if (!base.startsWith('$')) expect(names).toContain(base);
    for (const { from } of steps) if (from) expect(names).toContain(from);
    names.push(name);
  }
});

test('the image runs as a user who may change nothing of it, and has a check of its health', () => {
  const kinds = last?.steps.map(({ kind }) => kind) ?? [];
  expect(last?.steps.find(({ kind }) => kind === 'USER')?.text).toBe('node');
  expect(kinds.indexOf('USER')).toBeGreaterThan(kinds.lastIndexOf('COPY'));
  expect(steps('COPY').filter(({ stage, text }) => stage === last?.name && text.includes('chown'))).toEqual([]);
  expect(last && commandOf(last, 'HEALTHCHECK')).toEqual(['node', 'dist/healthy.js']);
  expect(last && commandOf(last, 'CMD').at(-1)).toBe('dist/main.js');
});

test('no script of a package runs where the packages that stay are installed', () => {
  const [install] = steps('RUN').filter(({ text }) => text.includes('--omit=dev'));
  expect(install?.stage).toBe('production');
  expect(install?.text).toContain('--ignore-scripts');
});

test('it runs as npm start runs it, but for the sources and for what a container of little memory needs', () => {
  const command = last ? commandOf(last, 'CMD').flatMap((word) => word.split('=')) : [];
  expect(command[command.indexOf('--max-semi-space-size') + 1]).toBe('16');
  for (const word of ['--import', '@biz/telemetry/preload', '--disable-warning', 'TimeoutNegativeWarning']) expect(command).toContain(word);
  expect(command).not.toContain('--conditions');
});

test('what it filters by and leaves out is there', () => {
  const filters = steps('RUN').flatMap(({ text }) => [...text.matchAll(/--filter='?\.\/([a-z/]+)/g)].map(([, folder = '']) => folder));
  expect(filters.length).toBeGreaterThan(2);
  for (const folder of filters) expect(existsSync(join(repository, folder)), folder).toBe(true);
  const ignored = readFileSync(join(repository, '.dockerignore'), 'utf8').split('\n');
  for (const rule of ['**/node_modules', '**/dist', '**/.git', '**/.local', '**/.env*']) expect(ignored).toContain(rule);
});
