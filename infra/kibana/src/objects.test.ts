import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { contents, ndjson, objectFiles, objectsOf } from './files.ts';

const all = Object.values(contents).flat();

test('the files are what the modules beside them say; `node --conditions=source infra/kibana/src/write.ts` writes them', async () => {
  const files = await objectFiles();
  expect(files.map((file) => basename(file))).toEqual(Object.keys(contents));
  for (const file of files) {
    expect(await readFile(file, 'utf8')).toBe(ndjson(contents[basename(file)] ?? []));
    expect(await objectsOf(file)).toEqual(contents[basename(file)]);
  }
});

test('every id is there once, and what refers to an object finds one of that type', () => {
  const keys = all.map(({ type, id }) => `${type}/${id}`);
  expect(new Set(keys).size).toBe(keys.length);
  for (const { id, references } of all) for (const reference of references) expect(keys, id).toContain(`${reference.type}/${reference.id}`);
  expect(Object.groupBy(all, ({ type }) => type)).toMatchObject({
    'index-pattern': { length: 4 },
    search: { length: 6 },
    dashboard: { length: 4 },
  });
});

test('a dashboard names each of its panels, and each is in a place of its own', () => {
  for (const { id, attributes, references } of all.filter(({ type }) => type === 'dashboard')) {
    const panels = JSON.parse(String(attributes.panelsJSON)) as {
      panelIndex: string;
      panelRefName: string;
      gridData: { x: number; y: number };
    }[];
    expect(
      panels.map(({ panelIndex, panelRefName }) => `${panelIndex}:${panelRefName}`),
      id,
    ).toEqual(references.map(({ name }) => name));
    expect(new Set(panels.map(({ gridData }) => `${gridData.x},${gridData.y}`)).size, id).toBe(panels.length);
  }
});

test('every chart and every search is on a dashboard or stands for itself', () => {
  const shown = new Set(all.filter(({ type }) => type === 'dashboard').flatMap(({ references }) => references.map(({ id }) => id)));
  expect(all.filter(({ type, id }) => type === 'visualization' && !shown.has(id))).toEqual([]);
});

test('a search names its data view where Kibana looks for it', () => {
  for (const { id, attributes, references } of all.filter(({ type }) => type === 'search')) {
    const { searchSourceJSON } = attributes.kibanaSavedObjectMeta as { searchSourceJSON: string };
    expect(JSON.parse(searchSourceJSON).indexRefName, id).toBe(references[0]?.name);
  }
});
