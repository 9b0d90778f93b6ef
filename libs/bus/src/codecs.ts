/// <reference path="./codec-packages.d.ts" />
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import kafkajs from 'kafkajs';
import lz4 from 'lz4-napi';
import snappy from 'snappyjs';
import { faultRecords, isRecords, recordCount } from './codec-fault.ts';

/** Bytes that a compressed batch may become; a batch is at most the topic's `max.message.bytes` (1 MiB by default) before. */
const MAX_OUTPUT = 64 * 1024 * 1024;

const gunzip = promisify(zlib.gunzip);
const gzip = promisify(zlib.gzip);
const zstdDecompress = promisify(zlib.zstdDecompress);
const zstdCompress = promisify(zlib.zstdCompress);

interface Codec {
  name: string;
  compress(data: Buffer): Promise<Buffer>;
  decompress(data: Buffer): Promise<Buffer>;
}

const codecs: Record<number, Codec> = {
  1: {
    name: 'gzip',
    compress: (data) => gzip(data),
    decompress: (data) => gunzip(data, { maxOutputLength: MAX_OUTPUT }),
  },
  2: { name: 'snappy', compress: async (data) => snappy.compress(data), decompress: async (data) => snappyBlocks(data) },
  3: { name: 'lz4', compress: (data) => lz4.compressFrame(data), decompress: lz4Frame },
  4: {
    name: 'zstd',
    compress: (data) => zstdCompress(data),
    decompress: (data) => zstdDecompress(data, { maxOutputLength: MAX_OUTPUT }),
  },
};

/**
 * Gives kafkajs all four codecs of Kafka, with a bound on what comes out. A batch that cannot be unpacked would stop the
 * consumer for good at its offset; it becomes as many marked records instead (see codec-fault.ts).
 */
export function registerCodecs(): void {
  for (const [type, codec] of Object.entries(codecs)) {
    register(Number(type), codec);
  }
}

/** Makes a codec unusable, as it would be if Kafka had a new one; only for the conformance test. */
export function registerUnusable(type: number): void {
  const unknown = () => Promise.reject(new Error('no codec is registered'));
  register(type, { name: `codec ${type}`, compress: codecs[type]?.compress ?? unknown, decompress: unknown });
}

function register(type: number, codec: Codec): void {
  // kafkajs' types know only the codecs that it brings.
  (kafkajs.CompressionCodecs as Record<number, unknown>)[type] = () => ({
    compress: (encoder: { buffer: Buffer }) => codec.compress(encoder.buffer),
    decompress: async (data: Buffer) => {
      try {
        const records = await codec.decompress(data);
        return isRecords(records, recordCount(data)) ? records : faultRecords(data, `${codec.name}: what came out is no list of records`);
      } catch (error) {
        return faultRecords(data, `${codec.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
  });
}

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const XERIAL_HEADER = 16;

/** Java's producers frame Snappy blocks (xerial's stream format); others send one bare block. */
function snappyBlocks(data: Buffer): Buffer {
  if (!data.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    return snappy.uncompress(data, MAX_OUTPUT);
  }
  const blocks: Buffer[] = [];
  let total = 0;
  for (let at = XERIAL_HEADER; at < data.length; ) {
    const size = data.readInt32BE(at);
    const block = snappy.uncompress(data.subarray(at + 4, at + 4 + size), MAX_OUTPUT - total);
    total += block.length;
    blocks.push(block);
    at += 4 + size;
  }
  return Buffer.concat(blocks, total);
}

async function lz4Frame(data: Buffer): Promise<Buffer> {
  const bound = lz4Bound(data);
  if (bound > MAX_OUTPUT) {
    throw new Error(`may become ${bound} bytes`);
  }
  return lz4.decompressFrame(data);
}

/** The most that an LZ4 frame (its format, version 1.6) can become: its number of blocks times their size. */
function lz4Bound(frame: Buffer): number {
  const flags = frame.readUInt8(4);
  const blockSize = 1 << (8 + 2 * ((frame.readUInt8(5) >> 4) & 7));
  const hasBlockChecksum = (flags & 0x10) !== 0;
  const hasContentSize = (flags & 0x08) !== 0;
  let blocks = 0;
  for (let at = hasContentSize ? 15 : 7; at + 4 <= frame.length; blocks += 1) {
    const size = frame.readUInt32LE(at) & 0x7fffffff;
    if (size === 0) {
      break;
    }
    at += 4 + size + (hasBlockChecksum ? 4 : 0);
  }
  return blocks * blockSize;
}
