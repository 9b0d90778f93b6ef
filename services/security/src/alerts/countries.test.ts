import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCountryTable } from './countries.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countries-'));
});
afterAll(() => rm(folder, { recursive: true }));

const table = async (...lines: string[]) => {
  const file = join(folder, 'countries.csv');
  await writeFile(file, lines.join('\r\n'));
  return readCountryTable(file);
};

it.each([
  ['200.0.0.0', 'BR'],
  ['200.255.255.255', 'BR'],
  ['201.0.0.0', undefined],
  ['199.255.255.255', undefined],
  ['8.8.8.8', 'US'],
  ['::ffff:8.8.8.8', 'US'],
  ['::ffff:808:808', 'US'],
  ['255.255.255.255', undefined],
  ['2804:1234::1', 'BR'],
  ['2804:FFFF:ffff:ffff:ffff:ffff:ffff:ffff', 'BR'],
  ['2805::', undefined],
  ['2001:db8::1%eth0', undefined],
  ['10.0.0.1', undefined],
  ['unknown', undefined],
  ['', undefined],
])('%s is in %s', async (address, country) => {
  const lines = ['2804::,2804:ffff:ffff:ffff:ffff:ffff:ffff:ffff,BR', '"200.0.0.0","200.255.255.255","BR"', '8.8.8.0,8.8.8.255,US'];
  expect((await table('# a table', ...lines, '10.0.0.0,10.255.255.255,ZZ', '')).countryOf(address)).toBe(country);
});

it('a table that is none is named with its line', async () => {
  await expect(table('1.0.0.0,1.0.0.255,AU', '1.0.1.0/24,CN')).rejects.toThrow('line 2');
  await expect(table('1.0.0.0,::1,AU')).rejects.toThrow('line 1');
});
