import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { allowedNames } from './allowed.ts';
import { catalogue, type MetricEntry } from './catalogue.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/observability.md'), 'utf8');
const entries = Object.entries(catalogue) as [string, MetricEntry][];

/** The cells of a table's rows; the table begins with this heading of its first column. */
function rowsOf(heading: string): string[][] {
  const [, body = ''] = page.split(`\n| ${heading} |`);
  const lines = body.split('\n').slice(2);
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(0, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe('docs/observability.md', () => {
  it('has exactly the metrics of the catalogue, as they are, in its order', () => {
    const told = rowsOf('name').map((cells) => cells.slice(0, 5));
    expect(told).toEqual(
      entries.map(([name, { kind, unit, labels, description }]) => [
        `\`${name}\``,
        kind,
        unit,
        labels.map((label) => `\`${label}\``).join(', '),
        description,
      ]),
    );
  });

  it('says of each when to page', () => {
    for (const cells of rowsOf('name')) expect(cells[5], cells[0]).toMatch(/\w{2}/);
  });

  it('has the settings that are read', () => {
    const source = ['settings.ts', 'preload.ts', 'resource.ts']
      .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
      .join('');
    const read = [...source.matchAll(/\b(OTEL_[A-Z_]+[A-Z])\b/g)].map(([, name]) => name);
    const documented = rowsOf('variable')
      .map(([name]) => name)
      .join(' ');
    const missing = read.filter((name) => !documented.includes(name === 'OTEL_BSP' || name === 'OTEL_BLRP' ? `${name}_` : String(name)));
    expect(missing).toEqual([]);
  });
});

describe('the catalogue', () => {
  it('has no name that another one begins with: in the index one is a number, the other would be an object', () => {
    const names = entries.map(([name]) => name);
    expect(names.filter((name) => names.some((other) => other.startsWith(`${name}.`)))).toEqual([]);
  });

  it('has only labels that may leave', () => {
    const known = allowedNames('label');
    expect(entries.flatMap(([, { labels }]) => labels).filter((label) => !known.includes(label))).toEqual([]);
  });
});
