// Every relative link of every document leads to a file, and to a heading that is there.
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, it } from 'vitest';

const repository = join(import.meta.dirname, '../..');
const documents = globSync('**/*.md', { cwd: repository, exclude: (path) => /node_modules|dist|\.local/.test(path) });

it.each(documents)('%s', (document) => {
  const file = join(repository, document);
  const links = [...readFileSync(file, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link ?? '');
  expect(links.filter((link) => !/^\w+:/.test(link) && !leadsSomewhere(file, link))).toEqual([]);
});

function leadsSomewhere(from: string, link: string): boolean {
  const [path = '', heading] = link.split('#');
  const target = path ? resolve(dirname(from), path) : from;
  return existsSync(target) && (heading === undefined || (statSync(target).isFile() && anchorsOf(target).includes(heading)));
}

/** Anchors of a document's headings, as code hosts make them. */
function anchorsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}
