import type { Document } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogDocument } from '../collections.ts';
import { recordId, tileId } from '../keys.ts';
import { flippedBytes, flips } from '../testing/attacker.ts';
import { RICH, sizeIn, type TamperHarness, tamperHarness } from '../testing/tampering.ts';

let store: TamperHarness;
beforeAll(async () => {
  store = await tamperHarness();
});
afterAll(() => store?.[Symbol.asyncDispose]());

describe('an audit that nobody touched', () => {
  it('passes, with and without the checkpoints kept outside', async () => {
    const result = await store.verify();
    expect(result.findings).toEqual([]);
    expect(result).toMatchObject({ ok: true, first_bad: null, checked: store.today.get('records')?.length, torn_lines: 0 });
    expect(result.logs.map((log) => [log.log_id, log.size])).toEqual(
      [store.logA, store.logB].map((log) => [log, sizeIn(store.today, log)]),
    );
    expect(store.size).toBeGreaterThan(256);
    for (const log of result.logs) {
      expect(log.checkpoints).toBeGreaterThan(1);
      expect(log.outside).toBe(log.checkpoints);
    }
    expect(await store.verify(null)).toMatchObject({ ok: true });
  });
});

describe('a record', () => {
  it('with one bit changed, in any field', async () => {
    const record = (await store.records().findOne({ _id: store.at(RICH) })) as Document;
    const { _id, is_active, ...fields } = record;
    const all = flips(fields);
    // Everything that recordOf writes, and the nested originals.
    expect(all.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['payload', 'owner_ip', 'extra', 'long.entity_id', 'trace_sent', 'named']),
    );
    expect(all.length).toBeGreaterThan(35);
    for (const { path, value } of all) {
      const result = await store.changed(store.at(RICH), () => store.set(store.at(RICH), { [path]: value }));
      expect(result.first_bad, path).toMatchObject({ log_id: store.logA, leaf_index: RICH, record_id: store.at(RICH) });
      expect(['leaf_differs', 'place_differs'], path).toContain(result.first_bad?.reason);
      expect(
        result.findings.map(({ reason }) => reason),
        path,
      ).toContain('leaf_differs');
      expect(
        result.findings.filter(({ reason }) => reason === 'tree_differs' || reason === 'checkpoint_differs'),
        path,
      ).toEqual([]);
    }
  });

  it.each([
    ['a date as text', 'action_at', (value: Date) => value.toISOString()],
    ['a date as what dates are hashed as', 'action_at', (value: Date) => ({ $date: value.toISOString() })],
    ['a number as text', 'offset', (value: number) => String(value)],
    ['zero below zero', 'leaf_index', () => -0],
    ['null as text', 'company_id', () => 'null'],
  ])('with a value of another type: %s', async (_, field, other) => {
    const id = field === 'leaf_index' ? store.at(0) : store.at(3);
    const record = (await store.records().findOne({ _id: id })) as Document;
    const result = await store.changed(id, () => store.set(id, { [field]: other(record[field] as never) }));
    expect(result.first_bad).toMatchObject({ reason: 'leaf_differs', record_id: id });
  });

  it.each([
    ['known', 'surprise', 1],
    ['deep', 'long', { note: 1 }],
    ['empty', 'note', null],
    ['dangerous', '__proto__', { is_active: true }],
  ])('with a field more: %s', async (_, name, value) => {
    const result = await store.changed(store.at(5), (record) =>
      store.records().replaceOne({ _id: store.at(5) }, Object.defineProperty({ ...record }, name, { value, enumerable: true })),
    );
    expect(result.first_bad).toMatchObject({ reason: 'leaf_differs', record_id: store.at(5) });
  });

  it('with a field less', async () => {
    const result = await store.changed(store.at(RICH), () =>
      store.records().updateOne({ _id: store.at(RICH) }, { $unset: { client_id: '' } }),
    );
    expect(result.first_bad).toMatchObject({ reason: 'leaf_differs', record_id: store.at(RICH) });
  });

  it.each([0, 200, -1])('deleted: %i', async (place) => {
    const index = place < 0 ? store.size + place : place;
    const result = await store.changed(store.at(index), () => store.records().deleteOne({ _id: store.at(index) }));
    expect(result.first_bad).toMatchObject({ reason: 'record_missing', record_id: store.at(index), leaf_index: index });
  });

  it('under another id', async () => {
    const other = `${store.at(8)}0`;
    const result = await store.tampered(async () => {
      const record = (await store.records().findOne({ _id: store.at(8) })) as Document;
      await store.records().deleteOne({ _id: store.at(8) });
      await store.records().insertOne({ ...record, _id: other });
    });
    expect(result.findings.map(({ reason, record_id }) => [reason, record_id])).toContainEqual(['record_unexpected', other]);
    expect(result.first_bad).toMatchObject({ reason: 'record_missing', record_id: store.at(8) });
  });

  it('swapped with another: with their places, and without', async () => {
    for (const keep of [true, false]) {
      const result = await store.tampered(async () => {
        const [one, two] = (await Promise.all([store.at(30), store.at(45)].map((_id) => store.records().findOne({ _id })))) as unknown as [
          Document,
          Document,
        ];
        const placed = (content: Document, { _id, leaf_index, offset }: Document) => ({
          ...content,
          _id,
          ...(keep && { leaf_index, offset }),
        });
        await store.records().replaceOne({ _id: store.at(30) }, placed(two, one));
        await store.records().replaceOne({ _id: store.at(45) }, placed(one, two));
      });
      expect(result.first_bad).toMatchObject({
        reason: keep ? 'leaf_differs' : expect.stringMatching(/place|leaf/),
        record_id: store.at(30),
      });
      expect(result.findings.map(({ record_id }) => record_id)).toContain(store.at(45));
    }
  });

  it('put in: at the end, beyond it, between two, in a log of its own, under a number', async () => {
    const end = store.size;
    const ids: [unknown, string][] = [
      [store.at(end), store.at(end)],
      [store.at(end + 7_000_000), store.at(end + 7_000_000)],
      [`${store.at(30)}x`, `${store.at(30)}x`],
      [recordId('elsewhere-0', 0), recordId('elsewhere-0', 0)],
      [42, '(number) 42'],
    ];
    for (const [id, named] of ids) {
      const result = await store.tampered(async () => {
        const record = (await store.records().findOne({ _id: store.at(30) })) as Document;
        const [log_id, leaf] = typeof id === 'string' ? id.split('.') : [store.logA, '0'];
        await store.records().insertOne({ ...record, _id: id as string, log_id, leaf_index: Number(leaf), version: 99, event_id: 'new' });
      });
      expect(result.first_bad, named).toMatchObject({ reason: expect.stringMatching(/record_un/), record_id: named });
    }
  });

  it('put in at the end with an offset that could be: caught when no consumer takes it', async () => {
    const end = store.size;
    const put = async () => {
      const { is_active: _, ...record } = (await store.records().findOne({ _id: store.at(end - 1) })) as Document;
      await store
        .records()
        .insertOne({ ...record, _id: store.at(end), leaf_index: end, offset: record.offset + 1, entity_key: '', kind: 'void' });
    };
    const result = await store.tampered(put);
    expect(result.findings).toMatchObject([{ reason: 'record_unfinished', record_id: store.at(end) }]);
  });
});

describe('what is active', () => {
  const flagOf = async (filter: Document) => (await store.records().find(filter).sort({ _id: 1 }).limit(1).toArray())[0]?._id as string;

  it.each([
    ['a flag on an older version', { log_id: { $exists: true }, is_active: false, active_after: true }, true],
    ['no flag on the newest', { is_active: true }, false],
    ['a flag on what is disabled', { active_after: false }, true],
    ['no flag of the kind', { is_active: true }, 1],
  ])('%s', async (_, filter, is_active) => {
    const id = await flagOf(filter);
    const result = await store.changed(id, () => store.set(id, { is_active }));
    expect(result).toMatchObject({ findings_total: 1, first_bad: { reason: 'active_differs', record_id: id } });
  });

  it('the flag taken away altogether', async () => {
    const id = await flagOf({ is_active: true });
    const result = await store.changed(id, () => store.records().updateOne({ _id: id }, { $unset: { is_active: '' } }));
    expect(result.first_bad).toMatchObject({ reason: 'active_differs', record_id: id });
  });
});

describe('what is stored of the tree', () => {
  it.each(['hashes', 'level', 'index', 'log_id'])('a tile with another %s', async (field) => {
    const _id = tileId(store.logA, 0, 0);
    const result = await store.tampered(async () => {
      const tile = (await store.audit.collections.tiles.findOne({ _id })) as Document;
      const value = field === 'hashes' ? flippedBytes(tile.hashes) : flips({ x: tile[field] })[0]?.value;
      await store.audit.collections.tiles.updateOne({ _id }, { $set: { [field]: value } });
    });
    expect(result.findings).toMatchObject([
      { reason: 'tree_differs', log_id: store.logA, leaf_index: 0, subject: expect.stringContaining(_id) },
    ]);
  });

  it('a tile that is gone', async () => {
    const result = await store.tampered(() => store.audit.collections.tiles.deleteOne({ _id: tileId(store.logA, 0, 0) }));
    expect(result.findings).toMatchObject([{ reason: 'tree_differs', leaf_index: 0, leaf_to: 255 }]);
  });

  it.each([
    ['root', (log: LogDocument) => ({ root: log.root && flippedBytes(log.root) })],
    ['edge, leaves', (log: LogDocument) => ({ edge: log.edge?.map((level, index) => (index === 0 ? flippedBytes(level) : level)) })],
    ['edge, above', (log: LogDocument) => ({ edge: log.edge?.map((level, index) => (index === 1 ? flippedBytes(level) : level)) })],
    ['edge, a level less', (log: LogDocument) => ({ edge: log.edge?.slice(0, 1) })],
    ['edge, none', () => ({ edge: null })],
    ['size, greater', (log: LogDocument) => ({ size: log.size + 1 })],
    ['size, smaller', (log: LogDocument) => ({ size: log.size - 1 })],
    ['size, no number', () => ({ size: 'many' })],
  ])('the document of a log: %s', async (_, change) => {
    const result = await store.tampered(async () => {
      const log = (await store.audit.collections.logs.findOne({ _id: store.logA })) as LogDocument;
      await store.db.collection<Document & { _id: string }>('logs').updateOne({ _id: store.logA }, { $set: change(log) });
    });
    expect(result).toMatchObject({ ok: false, first_bad: { log_id: store.logA } });
  });

  it('the document of a log, gone', async () => {
    const result = await store.tampered(() => store.audit.collections.logs.deleteOne({ _id: store.logA }));
    expect(result.first_bad).toMatchObject({ reason: expect.stringMatching(/log_behind|record_un/), log_id: store.logA });
  });

  it.each(['note', 'root', 'size', 'log_id'])('a checkpoint with another %s', async (field) => {
    const { _id, size: signedSize } = (store.today.get('checkpoints') ?? []).find(({ log_id }) => log_id === store.logA) as Document & {
      _id: string;
    };
    const result = await store.tampered(async () => {
      const stored = (await store.audit.collections.checkpoints.findOne({ _id })) as Document;
      const value = field === 'note' ? stored.note.replace(/.{8}\n$/, 'AAAAAA==\n') : flips({ x: stored[field] })[0]?.value;
      await store.audit.collections.checkpoints.updateOne({ _id }, { $set: { [field]: value } });
    });
    const reason = field === 'note' ? 'checkpoint_signature' : 'checkpoint_differs';
    expect(result.findings).toMatchObject([{ reason, log_id: store.logA, leaf_index: signedSize - 1 }]);
  });
});
