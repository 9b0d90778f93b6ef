// A change as an auditor proves it: the record under a signed checkpoint, one checkpoint as the continuation of another, the same
// checkpoint in the file outside the database. Other companies' records cannot be proven, since they do not exist for the caller.
import { readFileSync } from 'node:fs';
import { openCheckpoint, verifierOf, verifyConsistency, verifyInclusion } from '@biz/merkle';
import { until } from '@biz/testing';
import { describe, expect, it } from 'vitest';
import { type Answer, as, auditHistory, unique } from './client.ts';
import { currentRun } from './fleet.ts';

const bytes = (hex: string) => Buffer.from(hex, 'hex');

async function newRecord(): Promise<{ record_id: string; log_id: string; leaf_hash: string }> {
  const created = await as('manager-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja Prova' });
  expect(created.status, created.text).toBe(201);
  const [record] = await auditHistory('cost_center', created.body.id, 1);
  return record;
}

/** The proof of a record, once a checkpoint covers it: the audit itself waits for that, but not for as long as a busy machine may take. */
function proofOf(recordId: string): Promise<Answer> {
  return until(
    async () => {
      const answer = await as('auditor-a').get(`/v1/audit/records/${recordId}/proof`);
      return answer.status === 200 && answer;
    },
    { what: 'the proof', timeoutMs: 90_000 },
  );
}

async function verifierOfLog(logId: string) {
  const key = await as('auditor-a').get('/v1/audit/verification-key');
  return verifierOf(key.body.logs.find((log: { log_id: string }) => log.log_id === logId).vkey);
}

describe('an auditor', () => {
  it('proves a change of this moment, and that the log goes on from there', async () => {
    const record = await newRecord();
    const verifier = await verifierOfLog(record.log_id);
    const proof = await proofOf(record.record_id);
    expect(proof.body.leaf_hash).toBe(record.leaf_hash);
    const { size, root } = openCheckpoint(proof.body.checkpoint, [verifier]);
    const claim = { leafHash: bytes(record.leaf_hash), index: proof.body.leaf_index, size, root, path: proof.body.path.map(bytes) };
    expect(verifyInclusion(claim)).toBe(true);
    expect(verifyInclusion({ ...claim, index: claim.index + 1 })).toBe(false);

    const log = `/v1/audit/logs/${record.log_id}`;
    let next = await newRecord();
    while (next.log_id !== record.log_id) next = await newRecord();
    await proofOf(next.record_id);
    const later = await as('auditor-a').get(`${log}/checkpoint`);
    expect(later.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    const now = openCheckpoint(later.text, [verifier]);
    expect(now.size).toBeGreaterThan(size);
    const consistency = await as('auditor-a').get(`${log}/consistency?from=${size}&to=${now.size}`);
    expect(consistency.status, consistency.text).toBe(200);
    const path = consistency.body.path.map(bytes);
    expect(verifyConsistency({ from: size, to: now.size, fromRoot: root, toRoot: now.root, path })).toBe(true);
  });

  it('finds each checkpoint also outside the database', async () => {
    const record = await newRecord();
    const proof = await proofOf(record.record_id);
    // by its text: the last line may be half written, since checkpoints come each second
    const kept = readFileSync(currentRun().checkpoint_file, 'utf8');
    expect(kept.includes(`"checkpoint":${JSON.stringify(proof.body.checkpoint)}`)).toBe(true);
  });

  it('of another company proves nothing about what does not exist for it', async () => {
    const record = await newRecord();
    const there = await as('admin-b').get(`/v1/audit/records/${record.record_id}/proof`);
    const nowhere = await as('admin-b').get(`/v1/audit/records/${record.log_id}.999999999999/proof`);
    expect([there.status, there.body.code, there.body.detail]).toEqual([404, 'not_found', nowhere.body.detail]);
    expect((await as('user-a').get('/v1/audit/verification-key')).status).toBe(403);
  });
});
