import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMPTY_EDGE, edgeRoot, extendEdge, openCheckpoint, verifierOf, verifyConsistency, verifyInclusion } from '@biz/merkle';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMongoStore, openEdge } from './ingest/mongo-store.ts';
import { edgeOf } from './ingest/tree.ts';
import { recordId, tileId } from './keys.ts';
import { leafOf, leafText } from './leaf.ts';
import { checkAudit } from './testing/check.ts';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

const auditor = contextOf(['auditor'], ['*']);
const buffer = (hex: string) => Buffer.from(hex, 'hex');

interface Proof {
  log_id: string;
  leaf_index: number;
  leaf_hash: string;
  tree_size: number;
  path?: string[];
  checkpoint: string;
}

interface Consistency {
  from: number;
  to: number;
  from_root: string;
  to_root: string;
  path?: string[];
}

describe('logs, checkpoints and proofs', () => {
  let harness: AuditHarness;
  let call: <Answer extends object>(method: string, request: object) => Promise<Answer>;
  let folder: string;
  let file: string;
  let logId: string;

  beforeAll(async () => {
    harness = await auditHarness();
    folder = await mkdtemp(join(tmpdir(), 'biz-checkpoints-'));
    file = join(folder, 'kept', 'audit.jsonl');
    const service = await harness.start({}, { CHECKPOINT_FILE: file });
    const client = harness.client(service.address);
    call = (method, request) => client(method, request, auditor);
    logId = `${harness.topic}-0`;
    await sendMany(300);
  });
  afterAll(async () => {
    await harness?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const size = async () => (await harness.collections.logs.findOne({ _id: logId }))?.size ?? 0;

  /** At least so many more records, since reading makes records too, and a checkpoint above them. */
  async function sendMany(count: number): Promise<void> {
    const before = await size();
    await harness.send(Array.from({ length: count }, (_, index) => envelope({ payload: { id: `c-${index % 40}`, index } })));
    await until(async () => (await size()) >= before + count, { what: 'all records' });
    await until(async () => (await checkpointed()) >= before + count, { what: 'a checkpoint' });
  }

  async function checkpointed(): Promise<number> {
    const [newest] = await harness.collections.checkpoints.find({ log_id: logId }).sort({ size: -1 }).toArray();
    return newest?.size ?? 0;
  }

  const reads = () => harness.database.db.collection('events').countDocuments();
  const recordsOfReads = () => harness.collections.events.countDocuments({ producer_service: 'audit_service' });

  async function verifier() {
    const key = await call<{ logs: { log_id: string; origin: string; vkey: string }[] }>('GetVerificationKey', {});
    return verifierOf(key.logs.find(({ log_id }) => log_id === logId)?.vkey ?? '');
  }

  it('keeps the tree of what is stored', async () => {
    await checkAudit(harness.collections);
    const tile = await harness.collections.tiles.findOne({ _id: tileId(logId, 0, 0) });
    expect(tile?.hashes.length()).toBe(8192);
  });

  it('proves that each record is under a signed checkpoint', async () => {
    const keys = [await verifier()];
    for (const record of await harness.collections.events.find({ kind: 'event' }).limit(8).toArray()) {
      const proof = await call<Proof>('GetRecordProof', { record_id: record._id });
      const { size, root, origin } = openCheckpoint(proof.checkpoint, keys);
      expect(origin).toBe(`biz-retail.local/audit/${logId}`);
      const claim = { leafHash: leafOf(record), index: proof.leaf_index, size, root, path: (proof.path ?? []).map(buffer) };
      expect(verifyInclusion(claim)).toBe(true);
      expect(verifyInclusion({ ...claim, leafHash: leafOf({ ...record, owner_role: 'somebody else' }) })).toBe(false);
      expect(proof.leaf_hash).toBe(leafOf(record).toString('hex'));
      expect(await call('GetRecord', { record_id: record._id })).toMatchObject({ leaf_hash: proof.leaf_hash });
    }
  });

  it('proves that a checkpoint goes on from an earlier one', async () => {
    const text = async (size: number) => (await call<{ data: Buffer }>('GetCheckpoint', { log_id: logId, size })).data.toString();
    const before = await checkpointed();
    const earlier = openCheckpoint(await text(before), [await verifier()]);
    await sendMany(7);
    const later = openCheckpoint(await text(0), [await verifier()]);
    expect(earlier.size).toBe(before);
    expect(later.size).toBeGreaterThanOrEqual(before + 7);
    const proof = await call<Consistency>('GetConsistencyProof', { log_id: logId, from: earlier.size, to: later.size });
    const claim = { from: earlier.size, to: later.size, fromRoot: earlier.root, toRoot: later.root, path: (proof.path ?? []).map(buffer) };
    expect(verifyConsistency(claim)).toBe(true);
    expect([proof.from_root, proof.to_root]).toEqual([earlier.root.toString('hex'), later.root.toString('hex')]);
  });

  it('appends to the file outside what it signs, with the hashes of the leaves', async () => {
    const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
    const kept = lines.map((line) => JSON.parse(line) as { from: number; size: number; checkpoint: string; leaf_hashes: string });
    expect(kept.map(({ from }) => from)).toEqual([0, ...kept.slice(0, -1).map(({ size }) => size)]);
    const hashes = Buffer.concat(kept.map(({ leaf_hashes }) => Buffer.from(leaf_hashes, 'base64')));
    const leaves = await harness.collections.records
      .find({ log_id: logId, leaf_index: { $lt: hashes.length / 32 } })
      .sort({ _id: 1 })
      .toArray();
    expect(hashes.equals(Buffer.concat(leaves.map(leafOf)))).toBe(true);
    const keys = [await verifier()];
    expect(kept.map(({ checkpoint }) => openCheckpoint(checkpoint, keys).size)).toEqual(kept.map(({ size }) => size));
  });

  it('lists the logs', async () => {
    const { items } = await call<{ items: { size: number; checkpoint_size: number }[] }>('ListLogs', {});
    expect(items).toEqual([expect.objectContaining({ log_id: logId, origin: `biz-retail.local/audit/${logId}` })]);
    expect(items[0]?.size).toBeGreaterThanOrEqual(307);
    expect(items[0]?.checkpoint_size).toBeGreaterThanOrEqual(307);
  });

  it('refuses sizes that the log does not have, and names unknown logs and checkpoints', async () => {
    const beyond = (await size()) + 1_000;
    await expect(call('GetConsistencyProof', { log_id: logId, from: 1, to: beyond })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(call('GetConsistencyProof', { log_id: logId, from: 9, to: 3 })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(call('GetConsistencyProof', { log_id: 'nope', from: 1 })).rejects.toMatchObject({ code: 'not_found' });
    await expect(call('GetCheckpoint', { log_id: logId, size: beyond })).rejects.toMatchObject({ code: 'not_found' });
    await expect(call('GetRecordProof', { record_id: 'nope' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('makes the tree of a log that was begun before there were trees', async () => {
    // What was read until here makes records, too, and none of them may come while the log is changed by hand.
    await until(async () => (await recordsOfReads()) === (await reads()), { what: 'the records of all reads' });
    const planted = async () => {
      const store = createMongoStore(harness.collections);
      await edgeOf(store, logId, await store.logState(logId));
      const { edge, size: upTo = 0 } = (await harness.collections.logs.findOne({ _id: logId })) ?? {};
      const leaves = await store.leavesBetween(logId, 0, upTo);
      return [edge?.length, edgeRoot(openEdge(upTo, edge ?? [])).equals(edgeRoot(extendEdge(EMPTY_EDGE, leaves.map(leafOf)).edge))];
    };
    await harness.collections.tiles.deleteMany({ log_id: logId });
    await harness.collections.logs.updateOne({ _id: logId }, { $unset: { edge: 1, root: 1 } });
    expect(await planted()).toEqual([2, true]);
    await harness.collections.tiles.deleteMany({ log_id: logId });
    await harness.collections.logs.updateOne({ _id: logId }, { $unset: { edge: 1, root: 1 } });
    await sendMany(1);
    await checkAudit(harness.collections);
    expect(await harness.collections.tiles.countDocuments({ log_id: logId })).toBe(1);
  });

  it('signs nothing of a log that does not go on from what was signed', async () => {
    const [victim] = await harness.collections.events.find({ kind: 'event' }).limit(1).toArray();
    await harness.collections.events.updateOne({ _id: victim?._id ?? '' }, { $set: { owner_role: 'nobody' } });
    await harness.collections.tiles.deleteMany({ log_id: logId });
    await harness.collections.logs.updateOne({ _id: logId }, { $unset: { edge: 1, root: 1 } });
    const [signed, before] = [await checkpointed(), await size()];
    await harness.send([envelope()]);
    await until(async () => (await size()) > before, { what: 'the record' });
    await expect(call('GetRecordProof', { record_id: recordId(logId, before) })).rejects.toMatchObject({ code: 'unavailable' });
    expect(await checkpointed()).toBe(signed);
  });
});

describe('an audit that stops', () => {
  it('has signed what it recorded, outside, too', async () => {
    await using harness = await auditHarness();
    const folder = await mkdtemp(join(tmpdir(), 'biz-checkpoints-'));
    const file = join(folder, 'audit.jsonl');
    const logId = `${harness.topic}-0`;
    {
      // long after this test
      await using _service = await harness.start({}, { CHECKPOINT_FILE: file, CHECKPOINT_EVERY_MS: '3600000' });
      await until(() => harness.database.db.collection<{ _id: string }>('leases').findOne({ _id: 'checkpoints' }), {
        what: 'a first round',
      });
      await harness.send([envelope(), envelope(), envelope()]);
      await until(async () => (await harness.collections.logs.findOne({ _id: logId }))?.size === 3, { what: 'all records' });
    }
    const last = (await readFile(file, 'utf8')).trimEnd().split('\n').at(-1) ?? '';
    expect(JSON.parse(last)).toMatchObject({ log_id: logId, size: 3 });
    expect(await harness.collections.checkpoints.findOne({ log_id: logId, size: 3 })).toBeTruthy();
    await rm(folder, { recursive: true, force: true });
  });
});

describe('the leaf of a record', () => {
  it('covers every field but is_active, and tells types apart', () => {
    const date = new Date('2026-11-21T12:00:00Z');
    expect(leafText({ b: 1, a: date, is_active: true })).toBe('{"a":{"$date":"2026-11-21T12:00:00.000Z"},"b":1}');
    expect(leafText({ a: date.toISOString() })).not.toBe(leafText({ a: date }));
    expect(leafText({ a: '\ud800' })).toBe(leafText({ a: '\ufffd' }));
    expect(leafText({ a: '1' })).not.toBe(leafText({ a: 1 }));
  });
});
