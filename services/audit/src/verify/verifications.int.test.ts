import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@biz/service';
import { testDatabase, until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectionsOf, ensureIndexes } from '../collections.ts';
import { recordId } from '../keys.ts';
import { type AuditHarness, auditHarness, contextOf, envelope } from '../testing/harness.ts';
import { createVerifications, type VerificationParts, type Verifications } from './verifications.ts';
import type { VerifyResult } from './verify.ts';

interface Verification {
  id: string;
  status: string;
  progress: { checked: number; total: number };
  started_at: string;
  ended_at?: string;
  error?: string;
  integrity: {
    ok: boolean;
    checked: number;
    first_bad?: { reason: string; record_id: string; detail: string; detail_pt: string };
    logs: object[];
  };
  completeness: { ok: boolean; services: object[]; findings?: object[] };
}

describe('verifications by API', () => {
  const auditor = contextOf(['auditor'], ['company-1']);
  let audit: AuditHarness;
  let folder: string;
  let call: <Answer extends object>(method: string, request: object) => Promise<Answer>;

  beforeAll(async () => {
    audit = await auditHarness();
    folder = await mkdtemp(join(tmpdir(), 'biz-verification-'));
    const service = await audit.start({}, { CHECKPOINT_FILE: join(folder, 'audit.jsonl'), VERIFICATION_SETTLE_SECONDS: '1' });
    const client = audit.client(service.address);
    call = (method, request) => client(method, request, auditor);
  });
  afterAll(async () => {
    await audit?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function verified(): Promise<Verification> {
    const { id } = await call<Verification>('StartVerification', {});
    return until(
      async () => {
        const found = await call<Verification>('GetVerification', { id });
        return found.status !== 'running' && found;
      },
      { what: 'the end of the verification' },
    );
  }

  it('of an empty audit', async () => {
    expect(await verified()).toMatchObject({ status: 'done', integrity: { ok: true, checked: 0 }, completeness: { ok: true } });
  });

  it('of records, and of one that was changed: named, without what it says', async () => {
    await audit.send(Array.from({ length: 30 }, (_, index) => envelope({ payload: { id: `c-${index}` } })));
    await until(async () => (await audit.collections.logs.findOne({ _id: `${audit.topic}-0` }))?.size === 30, { what: 'all records' });
    await until(async () => (await audit.collections.checkpoints.countDocuments({ size: 30 })) === 1, { what: 'a checkpoint' });
    expect(await verified()).toMatchObject({ status: 'done', integrity: { ok: true, checked: 30, logs: [{ size: 30 }] } });

    const id = recordId(`${audit.topic}-0`, 12);
    await audit.collections.events.updateOne({ _id: id }, { $set: { owner_id: 'somebody-else' } });
    const { integrity } = await verified();
    expect(integrity).toMatchObject({ ok: false, first_bad: { reason: 'leaf_differs', record_id: id } });
    expect(integrity.first_bad?.detail).toContain('place 12 of log');
    expect(integrity.first_bad?.detail_pt).toContain('posição 12 do log');
    expect(JSON.stringify(integrity)).not.toContain('somebody-else');
  });

  it('one that is not there is not found', async () => {
    await expect(call('GetVerification', { id: newId() })).rejects.toMatchObject({ code: 'not_found' });
  });
});

const passed: VerifyResult = {
  ...{ ok: true, checked: 3, entities: 1, entity_bytes: 64, logs: [], first_bad: null, findings: [], findings_total: 0, torn_lines: 0 },
};

describe('verifications of several processes', () => {
  let stack: AsyncDisposableStack;
  let database: Awaited<ReturnType<typeof testDatabase>>;
  beforeAll(async () => {
    stack = new AsyncDisposableStack();
    database = stack.use(await testDatabase('verifications'));
    await ensureIndexes(collectionsOf(database.db));
  });
  afterAll(() => stack.disposeAsync());

  function processOf(over: Partial<VerificationParts> = {}): Verifications {
    const parts: VerificationParts = {
      verifications: collectionsOf(database.db).verifications,
      leases: database.db.collection('leases'),
      integrity: () => Promise.resolve(passed),
      completeness: () => Promise.resolve({ compared: true, services: [], findings: [] }),
      ...{ beatMs: 20, staleMs: 60_000, log: { error: () => undefined, info: () => undefined } },
      ...over,
    };
    return stack.use(createVerifications(parts));
  }
  /** Goes on until it is told to stop. */
  const endless: VerificationParts['integrity'] = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const ended = (process: Verifications, id: string) =>
    until(async () => (await process.get(id))?.status !== 'running' && (await process.get(id)), { what: 'its end' });

  it('one at a time: a second start answers the one that runs', async () => {
    const [one, two] = [processOf({ integrity: endless }), processOf({ integrity: endless })];
    const started = await Promise.all([one.start('a'), two.start('b'), one.start('c')]);
    expect(new Set(started.map(({ _id }) => _id)).size).toBe(1);
    const id = started[0]?._id ?? '';
    await Promise.all([one[Symbol.asyncDispose](), two[Symbol.asyncDispose]()]);
    expect(await ended(processOf(), id)).toMatchObject({ status: 'failed', error: 'The service stopped; start it again.' });
    const next = processOf();
    expect(await ended(next, (await next.start('d'))._id)).toMatchObject({ status: 'done', progress: { checked: 3 } });
  });

  it('one whose process is gone is marked by whoever looks, and what it still finds is not written', async () => {
    const finish = Promise.withResolvers<VerifyResult>();
    // It sleeps: no beat, and the end comes late.
    const asleep = processOf({ integrity: () => finish.promise, beatMs: 2 ** 30 });
    const { _id } = await asleep.start('a');
    const later = processOf({ staleMs: 1, beatMs: 2 ** 30, now: () => new Date(Date.now() + 1_000) });
    expect(await later.get(_id)).toMatchObject({ status: 'failed', error: expect.stringContaining('gone') });
    expect((await later.start('b'))._id).not.toBe(_id);
    finish.resolve(passed);
    await asleep[Symbol.asyncDispose]();
    expect(await later.get(_id)).toMatchObject({ status: 'failed', integrity: null });
  });

  it('one that was taken for dead, and wakes up, ends', async () => {
    const awake = processOf({ integrity: endless });
    const { _id } = await awake.start('a');
    await collectionsOf(database.db).verifications.updateOne({ _id }, { $set: { status: 'failed', error: 'gone' } });
    const next = processOf();
    expect(await ended(next, (await next.start('b'))._id)).toMatchObject({ status: 'done' });
    await awake[Symbol.asyncDispose]();
    expect(await next.get(_id)).toMatchObject({ error: 'gone' });
  });
});
