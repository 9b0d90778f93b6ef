import { createReadStream } from 'node:fs';
import { isIP } from 'node:net';
import { createInterface } from 'node:readline';

/** Which country an internet address is in, by a table that is kept on this machine. */
export interface CountryTable {
  /** ISO 3166-1 alpha-2; undefined when the table does not know. */
  countryOf(address: string): string | undefined;
  readonly ranges: number;
}

/** Ranges of one family, in order of their first address; IPv6 by its upper 64 bits, which no country shares. */
interface Ranges {
  first: BigUint64Array;
  last: BigUint64Array;
  country: string[];
}

const unassigned = 'ZZ';

/** Reads a CSV of lines `first address,last address,country`, as the free tables of IP to country come. Throws naming the first line that is none. */
export async function readCountryTable(file: string): Promise<CountryTable> {
  const rows: Record<4 | 6, { first: bigint; last: bigint; country: string }[]> = { 4: [], 6: [] };
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1;
    const [from = '', to = '', country = ''] = line.replaceAll('"', '').split(',');
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [first, last] = [numberOf(from), numberOf(to)];
    if (!first || !last || first.family !== last.family || !/^[A-Z]{2}$/.test(country)) {
      throw new Error(`${file}, line ${number}, is not "first address,last address,country"`);
    }
    if (country !== unassigned) rows[first.family].push({ first: first.value, last: last.value, country });
  }
  const tables = { 4: rangesOf(rows[4]), 6: rangesOf(rows[6]) };
  return {
    ranges: rows[4].length + rows[6].length,
    countryOf(address) {
      const found = numberOf(address.trim());
      return found && lookUp(tables[found.family], found.value);
    },
  };
}

function rangesOf(rows: { first: bigint; last: bigint; country: string }[]): Ranges {
  rows.sort((one, other) => (one.first < other.first ? -1 : 1));
  return {
    first: BigUint64Array.from(rows, ({ first }) => first),
    last: BigUint64Array.from(rows, ({ last }) => last),
    country: rows.map(({ country }) => country),
  };
}

function lookUp({ first, last, country }: Ranges, value: bigint): string | undefined {
  let low = 0;
  let high = first.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((first[middle] ?? 0n) <= value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value <= (last[low - 1] ?? 0n) ? country[low - 1] : undefined;
}

/** An IPv4 address, also one that came in an IPv6 one (RFC 4291, 2.5.5.2), or the upper half of an IPv6 address. */
function numberOf(address: string): { family: 4 | 6; value: bigint } | undefined {
  const bare = address.split('%')[0] ?? '';
  if (isIP(bare) === 4) return { family: 4, value: BigInt(bare.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)) };
  if (isIP(bare) !== 6) return undefined;
  const groups = groupsOf(bare);
  if (groups.slice(0, 5).every((group) => group === 0n) && groups[5] === 0xffffn) {
    return { family: 4, value: ((groups[6] ?? 0n) << 16n) | (groups[7] ?? 0n) };
  }
  return { family: 6, value: groups.slice(0, 4).reduce((sum, group) => (sum << 16n) | group, 0n) };
}

/** The eight groups of an IPv6 address (RFC 4291, 2.2), an IPv4 one at its end among them. */
function groupsOf(address: string): bigint[] {
  const parts = (text: string) => text.split(':').filter(Boolean).flatMap(groupOf);
  const [head = '', tail] = address.split('::');
  const [before, after] = [parts(head), parts(tail ?? '')];
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0n), ...after];
}

function groupOf(part: string): bigint[] {
  if (!part.includes('.')) return [BigInt(`0x${part}`)];
  const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
  return [BigInt(a * 256 + b), BigInt(c * 256 + d)];
}
