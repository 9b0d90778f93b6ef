import { expect, it } from 'vitest';
import { faultRecords, isRecords, recordCount } from './codec-fault.ts';

/** A compressed part as kafkajs cuts it out of a response: the count is right before it. */
function compressed(count: number, size: number): Buffer {
  const response = Buffer.alloc(8 + size, 7);
  response.writeInt32BE(count, 4);
  return response.subarray(8);
}

it('makes as many records as the batch had', () => {
  for (const count of [1, 2, 127, 128, 20_000]) {
    const data = compressed(count, 300);
    expect(recordCount(data)).toBe(count);
    expect(isRecords(faultRecords(data, 'gzip: broken'), count)).toBe(true);
  }
});

it('knows records from garbage', () => {
  const records = faultRecords(compressed(3, 10), 'x');
  expect(isRecords(records, 2)).toBe(false);
  expect(isRecords(records, 4)).toBe(false);
  expect(isRecords(records.subarray(1), 3)).toBe(false);
  expect(isRecords(Buffer.alloc(40, 0xff), 3)).toBe(false);
  expect(isRecords(Buffer.alloc(0), 1)).toBe(false);
});
