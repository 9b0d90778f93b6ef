/** Header of a message that stands for one of a batch that could not be unpacked; its value says why. */
export const faultHeader = 'biz-codec-fault';

// In a record batch (KIP-98) the compressed part follows the number of records, a big-endian int32. kafkajs gives a codec
// a slice of the response, so that the number is right before it in memory.
const COUNT_BYTES = 4;

/** Number of records in the batch that `compressed` was cut from; 1 when it cannot be told. */
export function recordCount(compressed: Buffer): number {
  if (compressed.byteOffset < COUNT_BYTES) {
    return 1;
  }
  return Math.max(1, Buffer.from(compressed.buffer, compressed.byteOffset - COUNT_BYTES, COUNT_BYTES).readInt32BE(0));
}

/**
 * Records (KIP-98's format) in place of those of a batch that cannot be unpacked: as many as there were, at their
 * offsets, each with the header that tells why, and the first with the whole compressed batch as its value, so that
 * nothing is lost and the partition goes on.
 */
export function faultRecords(compressed: Buffer, reason: string): Buffer {
  const count = recordCount(compressed);
  return Buffer.concat(Array.from({ length: count }, (_, index) => faultRecord(index, index === 0 ? compressed : null, reason)));
}

function faultRecord(offsetDelta: number, value: Buffer | null, reason: string): Buffer {
  const header = [bytes(Buffer.from(faultHeader)), bytes(Buffer.from(reason.slice(0, 200)))];
  const body = Buffer.concat([
    Buffer.from([0]), // attributes
    varint(0), // timestamp delta
    varint(offsetDelta),
    bytes(null), // key
    bytes(value),
    varint(1), // number of headers
    ...header,
  ]);
  return Buffer.concat([varint(body.length), body]);
}

/**
 * Whether `unpacked` is exactly the given number of length-prefixed records. An unpacker that gave garbage would make
 * kafkajs fail on it again and again.
 */
export function isRecords(unpacked: Buffer, count: number): boolean {
  let at = 0;
  for (let record = 0; record < count; record += 1) {
    let length = 0;
    let byte = 0x80;
    for (let shift = 0; byte >= 0x80; shift += 7) {
      byte = unpacked[at] ?? 0;
      at += 1;
      if (shift > 28) {
        return false;
      }
      length |= (byte & 0x7f) << shift;
    }
    at += length >>> 1;
    if (length & 1 || at > unpacked.length) {
      return false;
    }
  }
  return at === unpacked.length;
}

function bytes(data: Buffer | null): Buffer {
  return data === null ? varint(-1) : Buffer.concat([varint(data.length), data]);
}

/** Zigzag varint, as in Protocol Buffers. */
function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  while (rest >= 0x80) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
  return Buffer.from(out);
}
