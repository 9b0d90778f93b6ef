import zlib from 'node:zlib';
import kafkajs from 'kafkajs';
import lz4 from 'lz4-napi';
import snappy from 'snappyjs';
import { expect, it } from 'vitest';
import { faultRecords, isRecords } from './codec-fault.ts';
import { registerCodecs } from './codecs.ts';

registerCodecs();

const count = 5;

/** A compressed part where kafkajs would have it: after the number of records. */
function inBatch(compressed: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeInt32BE(count);
  return Buffer.concat([head, compressed]).subarray(4);
}

const records = faultRecords(inBatch(Buffer.from('some records')), 'for a test');
const unpack = (type: number, data: Buffer): Promise<Buffer> =>
  (kafkajs.CompressionCodecs as Record<number, () => { decompress(data: Buffer): Promise<Buffer> }>)[type]?.().decompress(inBatch(data)) ??
  Promise.reject(new Error('no codec'));

/** Snappy as Java's producers frame it. */
function xerial(data: Buffer, blockSize: number): Buffer {
  const parts: Buffer[] = [Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])];
  for (let at = 0; at < data.length; at += blockSize) {
    const block = snappy.compress(data.subarray(at, at + blockSize));
    const size = Buffer.alloc(4);
    size.writeInt32BE(block.length);
    parts.push(size, block);
  }
  return Buffer.concat(parts);
}

it('unpacks what others packed', async () => {
  expect(await unpack(1, zlib.gzipSync(records))).toEqual(records);
  expect(await unpack(2, snappy.compress(records))).toEqual(records);
  expect(await unpack(2, xerial(records, 50))).toEqual(records);
  expect(await unpack(3, await lz4.compressFrame(records, { contentChecksum: true, blockChecksums: true }))).toEqual(records);
  expect(await unpack(4, zlib.zstdCompressSync(records))).toEqual(records);
});

it('makes marked records of what is damaged, too big, or no records at all', async () => {
  const bomb = Buffer.alloc(65 * 1024 * 1024);
  const bad = [
    [1, Buffer.from('not gzip')],
    [1, zlib.gzipSync(Buffer.from('not records'))],
    [1, zlib.gzipSync(bomb)],
    [2, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f, 1])],
    [2, xerial(records, 50).subarray(0, 40)],
    [3, Buffer.from('not lz4')],
    [3, await lz4.compressFrame(bomb)],
    [4, zlib.zstdCompressSync(bomb)],
  ] as const;
  for (const [type, data] of bad) {
    const unpacked = await unpack(type, data);
    expect(isRecords(unpacked, count)).toBe(true);
    expect(unpacked.includes('biz-codec-fault')).toBe(true);
    expect(unpacked.includes(data)).toBe(true);
  }
});
