import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { conformance } from './conformance.ts';
import { openFileStorage } from './file.ts';

conformance('file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'biz-security-'));
  return {
    open: () => openFileStorage({ folder, maxBytes: 100_000 }),
    settled: async () => undefined,
    raw: async () => (await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')))).join(''),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
});
