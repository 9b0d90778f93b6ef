import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { logSigners } from '../integrity/signing.ts';
import { recordId } from '../keys.ts';
import { type Dump, rebuildLog, restore } from '../testing/attacker.ts';
import { ORIGIN, sizeIn, type TamperHarness, tamperHarness } from '../testing/tampering.ts';
import type { VerifyResult } from './verify.ts';

let store: TamperHarness;
beforeAll(async () => {
  store = await tamperHarness();
});
afterAll(() => store?.[Symbol.asyncDispose]());

describe('by somebody with the database, the code and the key', () => {
  const signer = (logId: string) => logSigners(ORIGIN, store.audit.env.CHECKPOINT_KEY as string)(logId);

  /** An auditor's own file: nothing but the newest signed note of each log. */
  async function bareNotes(): Promise<string> {
    const path = join(store.folder, 'notes.txt');
    const newest = [store.logA, store.logB].map(
      (log) =>
        store.today
          .get('checkpoints')
          ?.filter(({ log_id }) => log_id === log)
          .at(-1)?.note as string,
    );
    await writeFile(path, newest.join('\n'));
    return path;
  }

  const cut = async (to: number) => {
    await store.records().deleteMany({ log_id: store.logA, leaf_index: { $gte: to } });
    // Each entity's newest version gets its flag back.
    const left = await store.records().find({ log_id: store.logA }).sort({ leaf_index: 1 }).toArray();
    const newest = new Map(left.map((record) => [record.entity_key as string, record]));
    for (const { _id, active_after } of newest.values()) await store.set(_id, { is_active: active_after });
    await rebuildLog(store.audit.collections, store.logA, to, signer(store.logA));
  };

  it('the tail cut off', async () => {
    expect(await store.tampered(() => cut(300), null)).toMatchObject({ ok: true, findings: [] });
    for (const kept of [store.file, await bareNotes()]) {
      const result = await store.tampered(() => cut(300), kept);
      expect(result.findings).toMatchObject([
        { reason: 'log_behind_checkpoint', log_id: store.logA, leaf_index: 300, record_id: store.at(300) },
      ]);
      expect(result.first_bad).toMatchObject({ expected: String(store.size), found: '300' });
    }
  });

  it('the tail cut off, the rest left as it is', async () => {
    const result = await store.tampered(() => store.records().deleteMany({ log_id: store.logA, leaf_index: { $gte: 300 } }), null);
    expect(result.first_bad).toMatchObject({ reason: 'record_missing', record_id: store.at(300), leaf_to: store.size - 1 });
  });

  it('everything as it was yesterday', async () => {
    expect(await store.tampered(() => restore(store.db, store.yesterday), null)).toMatchObject({ ok: true, findings: [] });
    for (const kept of [store.file, await bareNotes()]) {
      const result = await store.tampered(() => restore(store.db, store.yesterday), kept);
      expect(result.findings.map(({ reason, record_id }) => [reason, record_id])).toEqual([
        ['log_behind_checkpoint', store.at(sizeIn(store.yesterday, store.logA))],
        ['log_behind_checkpoint', recordId(store.logB, sizeIn(store.yesterday, store.logB))],
      ]);
    }
  });

  const forge = async () => {
    await store.set(store.at(77), { owner_id: 'somebody-else' });
    await rebuildLog(store.audit.collections, store.logA, store.size, signer(store.logA));
  };

  it('a record changed, and the whole tree made anew', async () => {
    expect(await store.tampered(forge, null)).toMatchObject({ ok: true, findings: [] });
    const result = await store.tampered(forge);
    expect(result.findings).toMatchObject([
      { reason: 'leaf_differs', record_id: store.at(77), subject: expect.stringContaining('kept outside') },
    ]);
  });

  it('the same without the key: the checkpoints of the database tell, and between which two it is', async () => {
    const result = await store.tampered(async () => {
      await store.set(store.at(77), { owner_id: 'somebody-else' });
      await rebuildLog(store.audit.collections, store.logA, store.size);
    }, null);
    expect(result.findings).toMatchObject([{ reason: 'checkpoint_differs', subject: expect.stringContaining('in the database') }]);
    const sizes = (store.today.get('checkpoints') ?? []).filter(({ log_id }) => log_id === store.logA).map((one) => one.size as number);
    expect(result.first_bad).toMatchObject({
      leaf_index: Math.max(0, ...sizes.filter((one) => one <= 77)),
      leaf_to: Math.min(...sizes.filter((one) => one > 77)) - 1,
    });
  });

  it('the same against a bare note: known to be wrong, not where', async () => {
    const result = await store.tampered(forge, await bareNotes());
    expect(result.findings).toMatchObject([
      { reason: 'checkpoint_differs', log_id: store.logA, leaf_index: 0, leaf_to: store.size - 1, record_id: null },
    ]);
  });

  it('everything deleted', async () => {
    const nothing: Dump = new Map([...store.today.keys()].map((name) => [name, []]));
    const result = await store.tampered(() => restore(store.db, nothing));
    expect(result.findings.map(({ reason, record_id }) => [reason, record_id])).toEqual([
      ['log_behind_checkpoint', store.at(0)],
      ['log_behind_checkpoint', recordId(store.logB, 0)],
    ]);
  });

  it('with another key', async () => {
    const other = logSigners(ORIGIN, Buffer.alloc(32, 7).toString('base64'));
    const result = await store.tampered(() => rebuildLog(store.audit.collections, store.logA, store.size, other(store.logA)));
    expect(result.first_bad).toMatchObject({ reason: 'checkpoint_signature', log_id: store.logA });
  });
});

describe('the file kept outside', () => {
  /** The file with one of its lines changed. */
  async function edited(change: (line: Record<string, unknown>, index: number) => object | string): Promise<VerifyResult> {
    const path = join(store.folder, 'edited.jsonl');
    const lines = (await readFile(store.file, 'utf8')).split('\n').filter((line) => line !== '');
    const texts = lines
      .map((line, index) => change(JSON.parse(line), index))
      .map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
    await writeFile(path, texts.join('\n'));
    return store.verify(path);
  }

  it('with a line torn: the others count', async () => {
    const result = await edited((line, index) => (index === 1 ? JSON.stringify(line).slice(0, 90) : line));
    expect(result).toMatchObject({ ok: true, torn_lines: 1 });
  });

  it.each([
    [
      'checkpoint_signature',
      'a note that was changed',
      (line: { checkpoint: string }) => ({ ...line, checkpoint: line.checkpoint.replace(/\n\d+\n/, '\n9999\n') }),
    ],
    ['checkpoint_signature', 'a note under another log', (line: object) => ({ ...line, log_id: store.logB })],
    [
      'checkpoint_differs',
      'leaf hashes that are none',
      (line: { leaf_hashes: string }) => ({ ...line, leaf_hashes: `AAAA${line.leaf_hashes.slice(4)}` }),
    ],
  ])('%s: %s', async (reason, _, change) => {
    let done = false;
    const result = await edited((line) => {
      if (done || line.log_id !== store.logA) return line;
      done = true;
      return change(line as never);
    });
    expect(result.first_bad).toMatchObject({ reason });
  });
});
