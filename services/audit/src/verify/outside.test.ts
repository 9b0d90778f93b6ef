import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type OutsideEntry, openOutside } from './outside.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-outside-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const line = (log_id: string, from: number, size: number) =>
  JSON.stringify({
    log_id,
    from,
    size,
    checkpoint: `note ${log_id} ${size}`,
    leaf_hashes: Buffer.alloc(32 * (size - from), size).toString('base64'),
  });
const note = (log: string, size: number) => `biz/audit/${log}\n${size}\nAAAA\n\n— biz/audit/${log} c2ln\n`;

async function opened(text: string) {
  const path = join(folder, 'kept');
  await writeFile(path, text);
  return { path, outside: await openOutside(path) };
}

async function listed(entries: AsyncGenerator<OutsideEntry>): Promise<OutsideEntry[]> {
  const found: OutsideEntry[] = [];
  for await (const entry of entries) found.push(entry);
  return found;
}

const all = async (entries: AsyncGenerator<OutsideEntry>) => (await listed(entries)).map(({ from, size }) => [from, size]);

it('lines of several logs, torn ones between, the last without its line break', async () => {
  const { outside, path } = await opened(
    `\n${line('a-0', 0, 2)}\n\n${line('a-1', 0, 1)}\n${line('a-0', 2, 3).slice(0, 40)}\n${line('a-0', 2, 5)}`,
  );
  await using _ = outside;
  // What is appended later does not count.
  await appendFile(path, `\n${line('a-0', 5, 9)}\n`);
  expect([outside.count, outside.torn, outside.logIds()]).toEqual([3, 1, ['a-0', 'a-1']]);
  expect(await all(outside.entries('a-0'))).toEqual([
    [0, 2],
    [2, 5],
  ]);
  expect(await all(outside.entries('a-1'))).toEqual([[0, 1]]);
  expect(await all(outside.entries('a-2'))).toEqual([]);
  const [first] = await listed(outside.entries('a-0'));
  expect(await first?.read()).toEqual({ note: 'note a-0 2', leaf_hashes: Buffer.alloc(64, 2) });
});

it('after a log was rolled back: in order of where they begin, each once', async () => {
  const sizes = [0, 4, 9, 12, 6, 7, 20];
  const { outside } = await opened(
    sizes
      .slice(1)
      .map((size, index) => line('a-0', Math.min(sizes[index] as number, size), size))
      .join('\n'),
  );
  await using _ = outside;
  expect(await all(outside.entries('a-0'))).toEqual([
    [0, 4],
    [4, 9],
    [6, 6],
    [6, 7],
    [7, 20],
    [9, 12],
  ]);
  const stray = (await listed(outside.entries('a-0'))).find(({ size }) => size === 20);
  expect(await stray?.read()).toMatchObject({ note: 'note a-0 20' });
});

it('bare notes in any order, with line breaks of another system, and a text that is none', async () => {
  const text = `${note('a-1', 3)}\n${note('a-0', 7)}${note('a-0', 2)}\r\n${note('a-0', 9).replaceAll('\n', '\r\n')}\n\nnothing\n`;
  const { outside } = await opened(text);
  await using _ = outside;
  expect([outside.count, outside.torn]).toEqual([4, 1]);
  expect(await all(outside.entries('a-0'))).toEqual([
    [undefined, 2],
    [undefined, 7],
    [undefined, 9],
  ]);
  for await (const entry of outside.entries('a-0')) expect((await entry.read()).note).toBe(note('a-0', entry.size));
});

it('an empty file', async () => {
  const { outside } = await opened('');
  await using _ = outside;
  expect([outside.count, outside.torn, outside.logIds()]).toEqual([0, 0, []]);
});
