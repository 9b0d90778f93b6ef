import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@biz/testing';
import type { Document } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogDocument } from '../collections.ts';
import { logSigners } from '../integrity/signing.ts';
import { recordId, tileId } from '../keys.ts';
import { type Dump, dump, flippedBytes, flips, rebuildLog, restore } from '../testing/attacker.ts';
import { type AuditHarness, auditHarness, envelope } from '../testing/harness.ts';
import { LogKeys } from './log-keys.ts';
import { mongoSource } from './mongo-source.ts';
import { nothingOutside, openOutside } from './outside.ts';
import { type VerifyResult, verifyAudit } from './verify.ts';

const ORIGIN = 'biz-retail.local/audit';
/** Records of the first log in each part. The audit may add records of its own. */
const PARTS = [320, 40] as const;
/** A record with every field that a record may have. */
const RICH = 17;

let audit: AuditHarness;
let folder: string;
let file: string;
let keys: LogKeys;
let [logA, logB] = ['', ''];
/** The store after the first part, and after all. */
let yesterday: Dump;
let today: Dump;
/** Size of the first log today. */
let size: number;

beforeAll(async () => {
  audit = await auditHarness({ partitions: 2 });
  folder = await mkdtemp(join(tmpdir(), 'biz-tamper-'));
  file = join(folder, 'audit.jsonl');
  [logA, logB] = [`${audit.topic}-0`, `${audit.topic}-1`];
  keys = new LogKeys(ORIGIN, logSigners(ORIGIN, audit.env.CHECKPOINT_KEY as string)('any').publicKey);
  {
    await using _service = await audit.start({}, { CHECKPOINT_FILE: file, BATCH_RECORDS: '50', CHECKPOINT_EVERY_MS: '20' });
    await fill(PARTS[0]);
    yesterday = await dump(audit.database.db);
    await fill(PARTS[1]);
  }
  // Once nobody writes any more.
  today = await dump(audit.database.db);
  size = sizeIn(today, logA);
  // Whoever can write to the database can also drop its indexes.
  await audit.database.db.collection('records').dropIndexes();
});
afterAll(async () => {
  await audit?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function sizeIn(dumped: Dump, logId: string): number {
  return dumped.get('logs')?.find(({ _id }) => _id === logId)?.size;
}

const verbs = ['created', 'changed', 'disabled', 'changed', 'enabled', 'changed', 'changed'];

async function fill(count: number): Promise<void> {
  const before = await recorded();
  const messages = Array.from({ length: count }, (_, index) =>
    index === RICH
      ? rich(before)
      : envelope({
          event_type: `card.${verbs[Math.floor(index / 20) % verbs.length]}`,
          payload: { id: `c-${index % 20}`, before },
          metadata: { company_id: `company-${index % 3}` },
        }),
  );
  await Promise.all([audit.send(messages, 0), audit.send(messages.slice(0, 20).map(anew), 1)]);
  await until(async () => (await recorded()) >= before + count + 20, { what: 'all records' });
  await until(async () => (await signedSizes()).every(({ size, signed }) => size === signed), { what: 'checkpoints of all of them' });
}

/** Leaves of all logs, so with all that belongs to them. */
async function recorded(): Promise<number> {
  return (await audit.collections.logs.find().toArray()).reduce((sum, log) => sum + log.size, 0);
}

/** The same about other things, for another partition. */
function anew(message: ReturnType<typeof envelope>): object {
  const { event_id: _, ...metadata } = message.metadata;
  return envelope({ ...message, payload: { id: `other-${JSON.stringify(message.payload)}` }, metadata });
}

function rich(before: number) {
  return envelope({
    trace_id: '4bf92f35-77b3-4da6-a3ce-929d0e0e4736',
    timestamp: '2026-11-21T09:00:00.000-03:00',
    payload: { id: `${before}${'x'.repeat(300)}`, name: 'Loja' },
    surprise: { of: ['another', 'producer'] },
    metadata: { company_id: 'company-1', client_id: 'client-1', environment: 'test', entity_version: 1, sealing: 'fields', note: 'n' },
  });
}

async function signedSizes() {
  const logs = await audit.collections.logs.find().toArray();
  return Promise.all(
    logs.map(async ({ _id, size }) => {
      const [newest] = await audit.collections.checkpoints.find({ log_id: _id }).sort({ size: -1 }).limit(1).toArray();
      return { size, signed: newest?.size ?? 0 };
    }),
  );
}

async function verify(outsideFile: string | null = file): Promise<VerifyResult> {
  const options = { keys, settleMs: 1 };
  if (outsideFile === null) return verifyAudit(mongoSource(audit.database.db, nothingOutside), options);
  await using outside = await openOutside(outsideFile);
  return await verifyAudit(mongoSource(audit.database.db, outside), options);
}

const db = () => audit.database.db;
const records = () => db().collection<Document & { _id: string }>('records');

/** The audit as it should be, then tampered with, then as it was. */
async function tampered(change: () => Promise<unknown>, outsideFile: string | null = file): Promise<VerifyResult> {
  try {
    await change();
    return await verify(outsideFile);
  } finally {
    await restore(db(), today);
  }
}

/** Changes one record, and puts it back. */
async function changed(id: string, change: (record: Document) => Promise<unknown>): Promise<VerifyResult> {
  const record = (await records().findOne({ _id: id })) as Document & { _id: string };
  try {
    await change(record);
    return await verify();
  } finally {
    await records().replaceOne({ _id: id }, record, { upsert: true });
  }
}

const set = (id: string, fields: object) => records().updateOne({ _id: id }, { $set: fields });
const at = (index: number) => recordId(logA, index);

describe('an audit that nobody touched', () => {
  it('passes, with and without the checkpoints kept outside', async () => {
    const result = await verify();
    expect(result.findings).toEqual([]);
    expect(result).toMatchObject({ ok: true, first_bad: null, checked: today.get('records')?.length, torn_lines: 0 });
    expect(result.logs.map((log) => [log.log_id, log.size])).toEqual([logA, logB].map((log) => [log, sizeIn(today, log)]));
    expect(size).toBeGreaterThan(256);
    for (const log of result.logs) {
      expect(log.checkpoints).toBeGreaterThan(1);
      expect(log.outside).toBe(log.checkpoints);
    }
    expect(await verify(null)).toMatchObject({ ok: true });
  });
});

describe('a record', () => {
  it('with one bit changed, in any field', async () => {
    const record = (await records().findOne({ _id: at(RICH) })) as Document;
    const { _id, is_active, ...fields } = record;
    const all = flips(fields);
    // Everything that recordOf writes, and the nested originals.
    expect(all.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['payload', 'owner_ip', 'extra', 'long.entity_id', 'trace_sent', 'named']),
    );
    expect(all.length).toBeGreaterThan(35);
    for (const { path, value } of all) {
      const result = await changed(at(RICH), () => set(at(RICH), { [path]: value }));
      expect(result.first_bad, path).toMatchObject({ log_id: logA, leaf_index: RICH, record_id: at(RICH) });
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
    const id = field === 'leaf_index' ? at(0) : at(3);
    const record = (await records().findOne({ _id: id })) as Document;
    const result = await changed(id, () => set(id, { [field]: other(record[field] as never) }));
    expect(result.first_bad).toMatchObject({ reason: 'leaf_differs', record_id: id });
  });

  it.each([
    ['known', 'surprise', 1],
    ['deep', 'long', { note: 1 }],
    ['empty', 'note', null],
    ['dangerous', '__proto__', { is_active: true }],
  ])('with a field more: %s', async (_, name, value) => {
    const result = await changed(at(5), (record) =>
      records().replaceOne({ _id: at(5) }, Object.defineProperty({ ...record }, name, { value, enumerable: true })),
    );
    expect(result.first_bad).toMatchObject({ reason: 'leaf_differs', record_id: at(5) });
  });

  it('with a field less', async () => {
    const result = await changed(at(RICH), () => records().updateOne({ _id: at(RICH) }, { $unset: { client_id: '' } }));
    expect(result.first_bad).toMatchObject({ reason: 'leaf_differs', record_id: at(RICH) });
  });

  it.each([0, 200, -1])('deleted: %i', async (place) => {
    const index = place < 0 ? size + place : place;
    const result = await changed(at(index), () => records().deleteOne({ _id: at(index) }));
    expect(result.first_bad).toMatchObject({ reason: 'record_missing', record_id: at(index), leaf_index: index });
  });

  it('under another id', async () => {
    const other = `${at(8)}0`;
    const result = await tampered(async () => {
      const record = (await records().findOne({ _id: at(8) })) as Document;
      await records().deleteOne({ _id: at(8) });
      await records().insertOne({ ...record, _id: other });
    });
    expect(result.findings.map(({ reason, record_id }) => [reason, record_id])).toContainEqual(['record_unexpected', other]);
    expect(result.first_bad).toMatchObject({ reason: 'record_missing', record_id: at(8) });
  });

  it('swapped with another: with their places, and without', async () => {
    for (const keep of [true, false]) {
      const result = await tampered(async () => {
        const [one, two] = (await Promise.all([at(30), at(45)].map((_id) => records().findOne({ _id })))) as unknown as [
          Document,
          Document,
        ];
        const placed = (content: Document, { _id, leaf_index, offset }: Document) => ({
          ...content,
          _id,
          ...(keep && { leaf_index, offset }),
        });
        await records().replaceOne({ _id: at(30) }, placed(two, one));
        await records().replaceOne({ _id: at(45) }, placed(one, two));
      });
      expect(result.first_bad).toMatchObject({ reason: keep ? 'leaf_differs' : expect.stringMatching(/place|leaf/), record_id: at(30) });
      expect(result.findings.map(({ record_id }) => record_id)).toContain(at(45));
    }
  });

  it('put in: at the end, beyond it, between two, in a log of its own, under a number', async () => {
    const end = size;
    const ids: [unknown, string][] = [
      [at(end), at(end)],
      [at(end + 7_000_000), at(end + 7_000_000)],
      [`${at(30)}x`, `${at(30)}x`],
      [recordId('elsewhere-0', 0), recordId('elsewhere-0', 0)],
      [42, '(number) 42'],
    ];
    for (const [id, named] of ids) {
      const result = await tampered(async () => {
        const record = (await records().findOne({ _id: at(30) })) as Document;
        const [log_id, leaf] = typeof id === 'string' ? id.split('.') : [logA, '0'];
        await records().insertOne({ ...record, _id: id as string, log_id, leaf_index: Number(leaf), version: 99, event_id: 'new' });
      });
      expect(result.first_bad, named).toMatchObject({ reason: expect.stringMatching(/record_un/), record_id: named });
    }
  });

  it('put in at the end with an offset that could be: caught when no consumer takes it', async () => {
    const end = size;
    const put = async () => {
      const { is_active: _, ...record } = (await records().findOne({ _id: at(end - 1) })) as Document;
      await records().insertOne({ ...record, _id: at(end), leaf_index: end, offset: record.offset + 1, entity_key: '', kind: 'void' });
    };
    const result = await tampered(put);
    expect(result.findings).toMatchObject([{ reason: 'record_unfinished', record_id: at(end) }]);
  });
});

describe('what is active', () => {
  const flagOf = async (filter: Document) => (await records().find(filter).sort({ _id: 1 }).limit(1).toArray())[0]?._id as string;

  it.each([
    ['a flag on an older version', { log_id: { $exists: true }, is_active: false, active_after: true }, true],
    ['no flag on the newest', { is_active: true }, false],
    ['a flag on what is disabled', { active_after: false }, true],
    ['no flag of the kind', { is_active: true }, 1],
  ])('%s', async (_, filter, is_active) => {
    const id = await flagOf(filter);
    const result = await changed(id, () => set(id, { is_active }));
    expect(result).toMatchObject({ findings_total: 1, first_bad: { reason: 'active_differs', record_id: id } });
  });

  it('the flag taken away altogether', async () => {
    const id = await flagOf({ is_active: true });
    const result = await changed(id, () => records().updateOne({ _id: id }, { $unset: { is_active: '' } }));
    expect(result.first_bad).toMatchObject({ reason: 'active_differs', record_id: id });
  });
});

describe('what is stored of the tree', () => {
  it.each(['hashes', 'level', 'index', 'log_id'])('a tile with another %s', async (field) => {
    const _id = tileId(logA, 0, 0);
    const result = await tampered(async () => {
      const tile = (await audit.collections.tiles.findOne({ _id })) as Document;
      const value = field === 'hashes' ? flippedBytes(tile.hashes) : flips({ x: tile[field] })[0]?.value;
      await audit.collections.tiles.updateOne({ _id }, { $set: { [field]: value } });
    });
    expect(result.findings).toMatchObject([{ reason: 'tree_differs', log_id: logA, leaf_index: 0, subject: expect.stringContaining(_id) }]);
  });

  it('a tile that is gone', async () => {
    const result = await tampered(() => audit.collections.tiles.deleteOne({ _id: tileId(logA, 0, 0) }));
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
    const result = await tampered(async () => {
      const log = (await audit.collections.logs.findOne({ _id: logA })) as LogDocument;
      await db()
        .collection<Document & { _id: string }>('logs')
        .updateOne({ _id: logA }, { $set: change(log) });
    });
    expect(result).toMatchObject({ ok: false, first_bad: { log_id: logA } });
  });

  it('the document of a log, gone', async () => {
    const result = await tampered(() => audit.collections.logs.deleteOne({ _id: logA }));
    expect(result.first_bad).toMatchObject({ reason: expect.stringMatching(/log_behind|record_un/), log_id: logA });
  });

  it.each(['note', 'root', 'size', 'log_id'])('a checkpoint with another %s', async (field) => {
    const { _id, size: signedSize } = (today.get('checkpoints') ?? []).find(({ log_id }) => log_id === logA) as Document & { _id: string };
    const result = await tampered(async () => {
      const stored = (await audit.collections.checkpoints.findOne({ _id })) as Document;
      const value = field === 'note' ? stored.note.replace(/.{8}\n$/, 'AAAAAA==\n') : flips({ x: stored[field] })[0]?.value;
      await audit.collections.checkpoints.updateOne({ _id }, { $set: { [field]: value } });
    });
    const reason = field === 'note' ? 'checkpoint_signature' : 'checkpoint_differs';
    expect(result.findings).toMatchObject([{ reason, log_id: logA, leaf_index: signedSize - 1 }]);
  });
});

describe('by somebody with the database, the code and the key', () => {
  const signer = (logId: string) => logSigners(ORIGIN, audit.env.CHECKPOINT_KEY as string)(logId);

  /** An auditor's own file: nothing but the newest signed note of each log. */
  async function bareNotes(): Promise<string> {
    const path = join(folder, 'notes.txt');
    const newest = [logA, logB].map(
      (log) =>
        today
          .get('checkpoints')
          ?.filter(({ log_id }) => log_id === log)
          .at(-1)?.note as string,
    );
    await writeFile(path, newest.join('\n'));
    return path;
  }

  const cut = async (to: number) => {
    await records().deleteMany({ log_id: logA, leaf_index: { $gte: to } });
    // Each entity's newest version gets its flag back.
    const left = await records().find({ log_id: logA }).sort({ leaf_index: 1 }).toArray();
    const newest = new Map(left.map((record) => [record.entity_key as string, record]));
    for (const { _id, active_after } of newest.values()) await set(_id, { is_active: active_after });
    await rebuildLog(audit.collections, logA, to, signer(logA));
  };

  it('the tail cut off', async () => {
    expect(await tampered(() => cut(300), null)).toMatchObject({ ok: true, findings: [] });
    for (const kept of [file, await bareNotes()]) {
      const result = await tampered(() => cut(300), kept);
      expect(result.findings).toMatchObject([{ reason: 'log_behind_checkpoint', log_id: logA, leaf_index: 300, record_id: at(300) }]);
      expect(result.first_bad).toMatchObject({ expected: String(size), found: '300' });
    }
  });

  it('the tail cut off, the rest left as it is', async () => {
    const result = await tampered(() => records().deleteMany({ log_id: logA, leaf_index: { $gte: 300 } }), null);
    expect(result.first_bad).toMatchObject({ reason: 'record_missing', record_id: at(300), leaf_to: size - 1 });
  });

  it('everything as it was yesterday', async () => {
    expect(await tampered(() => restore(db(), yesterday), null)).toMatchObject({ ok: true, findings: [] });
    for (const kept of [file, await bareNotes()]) {
      const result = await tampered(() => restore(db(), yesterday), kept);
      expect(result.findings.map(({ reason, record_id }) => [reason, record_id])).toEqual([
        ['log_behind_checkpoint', at(sizeIn(yesterday, logA))],
        ['log_behind_checkpoint', recordId(logB, sizeIn(yesterday, logB))],
      ]);
    }
  });

  const forge = async () => {
    await set(at(77), { owner_id: 'somebody-else' });
    await rebuildLog(audit.collections, logA, size, signer(logA));
  };

  it('a record changed, and the whole tree made anew', async () => {
    expect(await tampered(forge, null)).toMatchObject({ ok: true, findings: [] });
    const result = await tampered(forge);
    expect(result.findings).toMatchObject([
      { reason: 'leaf_differs', record_id: at(77), subject: expect.stringContaining('kept outside') },
    ]);
  });

  it('the same without the key: the checkpoints of the database tell, and between which two it is', async () => {
    const result = await tampered(async () => {
      await set(at(77), { owner_id: 'somebody-else' });
      await rebuildLog(audit.collections, logA, size);
    }, null);
    expect(result.findings).toMatchObject([{ reason: 'checkpoint_differs', subject: expect.stringContaining('in the database') }]);
    const sizes = (today.get('checkpoints') ?? []).filter(({ log_id }) => log_id === logA).map((one) => one.size as number);
    expect(result.first_bad).toMatchObject({
      leaf_index: Math.max(0, ...sizes.filter((one) => one <= 77)),
      leaf_to: Math.min(...sizes.filter((one) => one > 77)) - 1,
    });
  });

  it('the same against a bare note: known to be wrong, not where', async () => {
    const result = await tampered(forge, await bareNotes());
    expect(result.findings).toMatchObject([
      { reason: 'checkpoint_differs', log_id: logA, leaf_index: 0, leaf_to: size - 1, record_id: null },
    ]);
  });

  it('everything deleted', async () => {
    const nothing: Dump = new Map([...today.keys()].map((name) => [name, []]));
    const result = await tampered(() => restore(db(), nothing));
    expect(result.findings.map(({ reason, record_id }) => [reason, record_id])).toEqual([
      ['log_behind_checkpoint', at(0)],
      ['log_behind_checkpoint', recordId(logB, 0)],
    ]);
  });

  it('with another key', async () => {
    const other = logSigners(ORIGIN, Buffer.alloc(32, 7).toString('base64'));
    const result = await tampered(() => rebuildLog(audit.collections, logA, size, other(logA)));
    expect(result.first_bad).toMatchObject({ reason: 'checkpoint_signature', log_id: logA });
  });
});

describe('the file kept outside', () => {
  /** The file with one of its lines changed. */
  async function edited(change: (line: Record<string, unknown>, index: number) => object | string): Promise<VerifyResult> {
    const path = join(folder, 'edited.jsonl');
    const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
    const texts = lines
      .map((line, index) => change(JSON.parse(line), index))
      .map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
    await writeFile(path, texts.join('\n'));
    return verify(path);
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
    ['checkpoint_signature', 'a note under another log', (line: object) => ({ ...line, log_id: logB })],
    [
      'checkpoint_differs',
      'leaf hashes that are none',
      (line: { leaf_hashes: string }) => ({ ...line, leaf_hashes: `AAAA${line.leaf_hashes.slice(4)}` }),
    ],
  ])('%s: %s', async (reason, _, change) => {
    let done = false;
    const result = await edited((line) => {
      if (done || line.log_id !== logA) return line;
      done = true;
      return change(line as never);
    });
    expect(result.first_bad).toMatchObject({ reason });
  });
});
