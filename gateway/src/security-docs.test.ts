// docs/security.md names tests as `file` "words of its name": they are there, and no item of the chapters it covers is left out.
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const text = readFileSync(join(root, 'docs', 'security.md'), 'utf8');
const files = globSync('{gateway,libs,services,infra,e2e,protos}/**/*.test.ts', {
  cwd: root,
  exclude: ['**/node_modules/**', '**/dist/**'],
});
const sources = Map.groupBy(files, (file) => basename(file));

type Reference = { file: string; names: string[] };

/** Cells of the column `test` of every table. */
const cells = text.split('\n').flatMap((line, index, lines) => {
  if (!line.startsWith('|') || /^\|[\s|-]+$/.test(line) || /^\|[\s|-]+$/.test(lines[index + 1] ?? '')) return [];
  const head = lines.slice(0, index).findLast((before, at) => before.startsWith('|') && /^\|[\s|-]+$/.test(lines[at + 1] ?? '')) ?? '';
  return /\btest\s*\|$/.test(head) ? [(line.split('|').at(-2) ?? '').trim()] : [];
});
const references = cells.flatMap((cell): Reference[] =>
  [...cell.matchAll(/`([\w.-]+\.test\.ts)`((?:\s+"[^"]+")*)/g)].map(([, file = '', names = '']) => ({
    file,
    names: [...names.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name),
  })),
);

/** Levels 1 and 2 of OWASP ASVS 5.0.0, chapters V7 to V10: the last item of each section, and those that are of level 3. */
const last = { '7.1': 3, '7.2': 4, '7.3': 2, '7.4': 5, '7.5': 3, '7.6': 2, '8.1': 4, '8.2': 4, '8.3': 3, '8.4': 2, '9.1': 3, '9.2': 4 };
const more = { '10.1': 2, '10.2': 3, '10.3': 5, '10.4': 16, '10.5': 5, '10.6': 2, '10.7': 3 };
const third = [
  '7.5.3',
  '8.1.3',
  '8.1.4',
  '8.2.4',
  '8.3.2',
  '8.3.3',
  '8.4.2',
  '10.2.3',
  '10.3.5',
  '10.4.12',
  '10.4.13',
  '10.4.14',
  '10.4.15',
];
const items = Object.entries({ ...last, ...more })
  .flatMap(([section, count]) => Array.from({ length: count }, (_, index) => `${section}.${index + 1}`))
  .filter((item) => ![...third, '10.4.16'].includes(item));

describe('docs/security.md', () => {
  it('says of every row by which test it holds, or that there is none', () => {
    const bare = cells.filter(
      (cell) => cell !== '–' && cell.replaceAll(/`[\w.-]+\.test\.ts`(\s+"[^"]+")*/g, '').replaceAll(/[;\s]/g, '') !== '',
    );
    expect(bare).toEqual([]);
    expect(references.length).toBeGreaterThan(70);
  });

  it('names tests that exist', () => {
    const missing = references.flatMap(({ file, names }) => {
      const found = (sources.get(file) ?? []).map((path) => readFileSync(join(root, path), 'utf8'));
      if (found.length === 0) return [file];
      return names.filter((name) => !found.some((source) => source.includes(name))).map((name) => `${file}: ${name}`);
    });
    expect(missing).toEqual([]);
  });

  it('has each item of levels 1 and 2 of chapters V7 to V10 once', () => {
    const listed = [...text.matchAll(/^\| ((?:7|8|9|10)\.\d+\.\d+) \|/gm)].map(([, item]) => item);
    expect(listed).toEqual(items);
  });
});
