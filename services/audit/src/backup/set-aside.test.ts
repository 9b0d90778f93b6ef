import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signerOf } from '@biz/merkle';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { About } from './about.ts';
import { assertNotAhead, beginFile, setAside } from './set-aside.ts';

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-aside-'));
  file = join(folder, 'audit.jsonl');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const line = (size: number) =>
  JSON.stringify({ log_id: 'audit-0', from: 0, size, checkpoint: `o\n${size}\nroot-${size}\n`, leaf_hashes: '' });
const about: About = {
  ...{ cut_at: '2026-01-01T00:00:00.000Z', audit_database: 'audit', keyring_database: 'keyring', kek_ids: [], beyond: 0 },
  logs: [{ log_id: 'audit-0', size: 5, root: 'root-5', checkpoint: '', next_offset: 5 }],
};
const set = (backup: string) =>
  setAside({ file, about, backup, signer: signerOf('o/restore', Buffer.alloc(32, 1)), by: 'Ana', reason: 'disk' });

it('what is ahead is moved once, with a statement; repeated after a kill, the same statement is given, and for another backup none', async () => {
  await writeFile(file, [3, 5, 9].map((size) => `\n${line(size)}\n`).join(''));
  await expect(assertNotAhead(file, about)).rejects.toThrow('signed up to 9, in the backup up to 5');
  const first = await set('b-1');
  expect(first?.statement.logs).toEqual([
    { log_id: 'audit-0', restored_size: 5, restored_root: 'root-5', last_signed_size: 9, last_signed_root: 'root-9' },
  ]);
  expect(await readFile(file, 'utf8')).toBe(`${line(3)}\n${line(5)}\n`);
  expect(await set('b-1')).toEqual(first);
  expect(await set('b-2')).toBeUndefined();
  // killed between the two moves: the file is not there at all
  await rm(file);
  expect(await set('b-1')).toEqual(first);
  await writeFile(join(folder, 'of-backup'), `${line(5)}\n`);
  await beginFile(file, join(folder, 'of-backup'));
  expect(await readFile(file, 'utf8')).toBe(`${line(5)}\n`);
  expect((await readdir(folder)).filter((name) => name.endsWith('.statement'))).toHaveLength(1);
});

it('a statement that a kill tore is passed over', async () => {
  await writeFile(`${file}.99999999T000000000Z.aside.statement`, 'o/restore\n{"by":"A');
  expect((await set('b-1'))?.statement.backup).toBe('b-1');
});
