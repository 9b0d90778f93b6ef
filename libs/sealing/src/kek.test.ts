import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readKek } from './kek.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kek-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('a missing file is created once, for its owner alone, however many ask', async () => {
  const file = join(folder, 'deep', 'kek');
  const keks = await Promise.all(Array.from({ length: 8 }, () => readKek({ file, create: true })));
  expect(new Set(keks.map((kek) => kek.id)).size).toBe(1);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(Buffer.from((await readFile(file, 'utf8')).trim(), 'base64')).toHaveLength(32);
  expect(await readdir(join(folder, 'deep'))).toEqual(['kek']);
});

test('a value is read as a file is', async () => {
  const file = join(folder, 'same');
  const fromFile = await readKek({ file, create: true });
  const fromValue = await readKek({ value: await readFile(file, 'utf8') });
  expect(fromValue.id).toBe(fromFile.id);
});

test('what is missing or wrong is named', async () => {
  await expect(readKek({})).rejects.toThrow('give a file or a value');
  await expect(readKek({ file: join(folder, 'none') })).rejects.toThrow('ENOENT');
  await expect(readKek({ value: 'c2hvcnQ=' })).rejects.toThrow('must be 32 bytes');
  const open = join(folder, 'open');
  await writeFile(open, Buffer.alloc(32).toString('base64'));
  await chmod(open, 0o644);
  await expect(readKek({ file: open })).rejects.toThrow('chmod 600');
});
