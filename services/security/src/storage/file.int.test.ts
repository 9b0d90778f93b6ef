import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { conformance, event } from './conformance.ts';
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

it('two processes take turns: what the other has closed or rewritten is not written to any more', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'biz-security-'));
  await using one = await openFileStorage({ folder, maxBytes: 5_000 });
  await using other = await openFileStorage({ folder, maxBytes: 5_000 });
  const saved = Array.from({ length: 12 }, (_, index) => event({ company_id: 'c-1', user_id: index < 3 ? 'u-gone' : 'u-1' }));
  for (const [index, each] of saved.entries()) {
    await (index % 3 === 0 ? one : other).save([each]);
    if (index === 4) await other.anonymize({ user_id: 'u-gone' });
  }
  const { items } = await one.find({ company_ids: ['c-1'] }, { size: 100 });
  expect(items.map(({ event_id }) => event_id).toSorted()).toEqual(saved.map(({ event_id }) => event_id).toSorted());
  await rm(folder, { recursive: true });
});
