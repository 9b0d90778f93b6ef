import { loadContract } from '@biz/protos';
import { describe, expect, it } from 'vitest';
import { exportPieces, type Piece } from './export.ts';
import { type ExportFormat, exportFormats } from './formats.ts';
import type { RecordMessage } from './record-message.ts';
import type { ExportBatch } from './walk.ts';

const model = loadContract().message('biz.audit.v1.Record');
const record = {
  record_id: 'r',
  sealed_fields: [],
  erased_fields: [],
  payload: '{}',
  metadata: '{}',
  extra: 'null',
} as unknown as RecordMessage;
const plain: ExportFormat = { contentType: 'text/plain', head: () => 'head\n', line: (_, one, cursor) => `${one.payload} ${cursor}\n` };

/** Batches of one record's copies, counted as they are taken; `payload` is in each line. */
function source(batches: number, size: number, payload = 'x'.repeat(1_000)) {
  const state = { pulled: 0, presented: 0, ended: false };
  async function* made(): AsyncGenerator<ExportBatch> {
    try {
      for (; state.pulled < batches; ) {
        const first = state.pulled * size;
        state.pulled += 1;
        yield { records: Array(size), cursors: Array.from({ length: size }, (_, index) => String(first + index)) };
      }
    } finally {
      state.ended = true;
    }
  }
  const present = async ({ records }: ExportBatch) => {
    state.presented += 1;
    return Array<RecordMessage>(records.length).fill({ ...record, payload });
  };
  return { state, made, present };
}

const pieces = ({ made, present }: ReturnType<typeof source>, format = plain, continued = false) =>
  exportPieces(made(), { format, model, continued, present });

async function textOf(all: AsyncIterable<Piece>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const { data } of all) parts.push(data);
  return Buffer.concat(parts).toString();
}

describe('an export of 20,000 records', () => {
  it('holds one batch and the next, whatever the caller’s pace', async () => {
    const from = source(40, 500);
    let bytes = 0;
    let lines = 0;
    for await (const { data } of pieces(from)) {
      bytes += data.length;
      for (let at = data.indexOf('\n'); at >= 0; at = data.indexOf('\n', at + 1)) lines += 1;
      await new Promise(setImmediate); // it gets its chance to run ahead
      // What is not given yet is of the batch at hand, and of the one that was read meanwhile.
      expect(from.state.pulled * 500 - (lines - 1)).toBeLessThanOrEqual(1_000);
      expect(from.state.presented * 500 - (lines - 1)).toBeLessThanOrEqual(500);
      expect(data.length).toBeLessThan(70_000);
    }
    expect(lines).toBe(20_001);
    expect(bytes).toBeGreaterThan(20_000_000);
  });

  it('takes nothing more once the caller has left', async () => {
    const from = source(40, 500);
    for await (const _ of pieces(from)) break;
    expect(from.state).toEqual({ pulled: 2, presented: 1, ended: true });
  });
});

describe('the file', () => {
  it('has every line once, after the head', async () => {
    const lines = Array.from({ length: 14 }, (_, index) => `p ${index}\n`).join('');
    expect(await textOf(pieces(source(2, 7, 'p')))).toBe(`head\n${lines}`);
    expect(await textOf(pieces(source(2, 7, 'p'), plain, true))).toBe(lines);
  });

  it('tells its type in the first piece, also when there is nothing', async () => {
    for (const [batches, continued, text] of [
      [0, false, 'head\n'],
      [0, true, ''],
    ] as const) {
      const all: Piece[] = [];
      for await (const piece of pieces(source(batches, 1), plain, continued)) all.push(piece);
      expect(all).toEqual([{ content_type: 'text/plain', data: Buffer.from(text) }]);
    }
    const types: unknown[] = [];
    for await (const { content_type } of pieces(source(3, 1))) types.push(content_type);
    expect(types).toEqual(['text/plain', undefined, undefined]);
  });

  it('is in pieces that fit a message, however long a line is', async () => {
    const payload = '😀'.repeat(1_500_000);
    const sizes: number[] = [];
    const parts: Buffer[] = [];
    for await (const { data } of pieces(source(2, 1, payload))) {
      sizes.push(data.length);
      parts.push(data);
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1024 * 1024);
    expect(Buffer.concat(parts).toString()).toBe(`head\n${payload} 0\n${payload} 1\n`);
  });

  it('breaks off after what came before', async () => {
    async function* breaking(): AsyncGenerator<ExportBatch> {
      yield* source(2, 1).made();
      throw new Error('away');
    }
    const parts = { format: plain, model, continued: false, present: source(2, 1, 'p').present };
    const all = exportPieces(breaking(), parts);
    expect([String((await all.next()).value?.data), String((await all.next()).value?.data)]).toEqual(['head\np 0\n', 'p 1\n']);
    await expect(all.next()).rejects.toThrow('away');
  });

  it('is nothing at all when the first records cannot be read', async () => {
    async function* failing(): AsyncGenerator<ExportBatch> {
      yield* [];
      throw new Error('away');
    }
    const parts = { format: exportFormats.csv, model, continued: false, present: async () => [] };
    await expect(exportPieces(failing(), parts).next()).rejects.toThrow('away');
  });
});
