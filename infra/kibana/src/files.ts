import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dashboardObjects } from './dashboards.ts';
import type { SavedObject } from './objects.ts';
import { panelObjects } from './panels.ts';
import { searchObjects } from './searches.ts';
import { viewObjects } from './views.ts';

const folder = join(import.meta.dirname, '..');

/** What each file holds. */
export const contents: Readonly<Record<string, readonly SavedObject[]>> = {
  'biz-retail.ndjson': [...viewObjects, ...searchObjects, ...panelObjects, ...dashboardObjects],
};

/** As Kibana exports and imports them: one object a line. */
export function ndjson(objects: readonly SavedObject[]): string {
  return objects.map((one) => `${JSON.stringify(one)}\n`).join('');
}

/** Paths of the files, in the order of their names. */
export async function objectFiles(): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => name.endsWith('.ndjson'))
    .sort()
    .map((name) => join(folder, name));
}

/** The objects of a file. Throws when a line is no JSON. */
export async function objectsOf(file: string): Promise<SavedObject[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as SavedObject);
}
