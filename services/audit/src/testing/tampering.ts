import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@biz/testing';
import type { Document } from 'mongodb';
import { logSigners } from '../integrity/signing.ts';
import { recordId } from '../keys.ts';
import { LogKeys } from '../verify/log-keys.ts';
import { mongoSource } from '../verify/mongo-source.ts';
import { nothingOutside, openOutside } from '../verify/outside.ts';
import { type VerifyResult, verifyAudit } from '../verify/verify.ts';
import { type Dump, dump, restore } from './attacker.ts';
import { type AuditHarness, auditHarness, envelope } from './harness.ts';

export const ORIGIN = 'biz-retail.local/audit';
/** Records of the first log in each part. The audit may add records of its own. */
const PARTS = [320, 40] as const;
/** A record with every field that a record may have. */
export const RICH = 17;

/** An audit of two logs with its checkpoints inside and outside, that may be tampered with and is put back as it was. */
export async function tamperHarness() {
  await using stack = new AsyncDisposableStack();
  const audit: AuditHarness = stack.use(await auditHarness({ partitions: 2 }));
  const folder = await mkdtemp(join(tmpdir(), 'biz-tamper-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'audit.jsonl');
  const [logA, logB] = [`${audit.topic}-0`, `${audit.topic}-1`];
  const keys = new LogKeys(ORIGIN, logSigners(ORIGIN, audit.env.CHECKPOINT_KEY as string)('any').publicKey);
  const db = audit.database.db;
  const yesterday = await filled(audit, file);
  // Once nobody writes any more.
  const today = await dump(db);
  const records = () => db.collection<Document & { _id: string }>('records');
  // Whoever can write to the database can also drop its indexes.
  await records().dropIndexes();

  async function verify(outsideFile: string | null = file): Promise<VerifyResult> {
    const options = { keys, settleMs: 1 };
    if (outsideFile === null) return verifyAudit(mongoSource(db, nothingOutside), options);
    await using outside = await openOutside(outsideFile);
    return await verifyAudit(mongoSource(db, outside), options);
  }

  const opened = stack.move();
  return {
    ...{ audit, db, folder, logA, logB, records, verify },
    /** The checkpoints kept outside. */
    file,
    /** The store after the first part, and after all. */
    ...{ yesterday, today },
    /** Size of the first log today. */
    size: sizeIn(today, logA),
    at: (index: number) => recordId(logA, index),
    set: (id: string, fields: object) => records().updateOne({ _id: id }, { $set: fields }),
    /** The audit as it should be, then tampered with, then as it was. */
    async tampered(change: () => Promise<unknown>, outsideFile: string | null = file): Promise<VerifyResult> {
      try {
        await change();
        return await verify(outsideFile);
      } finally {
        await restore(db, today);
      }
    },
    /** Changes one record, and puts it back. */
    async changed(id: string, change: (record: Document) => Promise<unknown>): Promise<VerifyResult> {
      const record = (await records().findOne({ _id: id })) as Document & { _id: string };
      try {
        await change(record);
        return await verify();
      } finally {
        await records().replaceOne({ _id: id }, record, { upsert: true });
      }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

export type TamperHarness = Awaited<ReturnType<typeof tamperHarness>>;

export function sizeIn(dumped: Dump, logId: string): number {
  return dumped.get('logs')?.find(({ _id }) => _id === logId)?.size;
}

/** Records all parts, and gives the store after the first. */
async function filled(audit: AuditHarness, file: string): Promise<Dump> {
  await using _service = await audit.start({}, { CHECKPOINT_FILE: file, BATCH_RECORDS: '50', CHECKPOINT_EVERY_MS: '20' });
  await fill(audit, PARTS[0]);
  const after = await dump(audit.database.db);
  await fill(audit, PARTS[1]);
  return after;
}

const verbs = ['created', 'changed', 'disabled', 'changed', 'enabled', 'changed', 'changed'];

async function fill(audit: AuditHarness, count: number): Promise<void> {
  const before = await recorded(audit);
  const messages = Array.from({ length: count }, (_, index) =>
    index === RICH
      ? rich(before)
      : envelope({
          event_type: `card.${verbs[Math.floor(index / 20) % verbs.length]}`,
          payload: { id: `c-${index % 20}`, before },
          metadata: { company_id: `company-${index % 3}` },
        }),
  );
  await Promise.all([audit.sendAtOnce(messages, 0), audit.sendAtOnce(messages.slice(0, 20).map(anew), 1)]);
  await until(async () => (await recorded(audit)) >= before + count + 20, { what: 'all records' });
  await until(async () => (await signedSizes(audit)).every(({ size, signed }) => size === signed), { what: 'checkpoints of all of them' });
}

/** Leaves of all logs, so with all that belongs to them. */
async function recorded(audit: AuditHarness): Promise<number> {
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

async function signedSizes(audit: AuditHarness) {
  const logs = await audit.collections.logs.find().toArray();
  return Promise.all(
    logs.map(async ({ _id, size }) => {
      const [newest] = await audit.collections.checkpoints.find({ log_id: _id }).sort({ size: -1 }).limit(1).toArray();
      return { size, signed: newest?.size ?? 0 };
    }),
  );
}
