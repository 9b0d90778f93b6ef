// The whole audit verified, as an auditor does it: over HTTPS, and by the command, against checkpoints that were fetched before. A change made
// behind the service's back is named; it is undone again, since the fleet is shared.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '@biz/testing';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, as, auditHistory, unique } from './client.ts';
import { currentRun, localDir } from './fleet.ts';

let folder: string;
let mongo: MongoClient;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-verify-'));
  mongo = new MongoClient(currentRun().mongodb_url);
});
afterAll(async () => {
  await mongo.close();
  await rm(folder, { recursive: true, force: true });
});

const records = () => mongo.db('audit').collection<{ _id: string; owner_role: string }>('records');

async function newRecord(): Promise<string> {
  const created = await as('manager-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja Verificada' });
  const [record] = await auditHistory('cost_center', created.body.id, 1);
  await until(async () => (await as('auditor-a').get(`/v1/audit/records/${record.record_id}/proof`)).status === 200, {
    what: 'its proof',
    timeoutMs: 90_000,
  });
  return record.record_id;
}

/** Changes a record while something is done. */
async function tampered<T>(id: string, done: () => Promise<T>): Promise<T> {
  const before = await records().findOne({ _id: id });
  await records().updateOne({ _id: id }, { $set: { owner_role: 'nobody' } });
  try {
    return await done();
  } finally {
    await records().updateOne({ _id: id }, { $set: { owner_role: before?.owner_role ?? '' } });
  }
}

async function verification(who: string): Promise<Answer['body']> {
  const started = await as(who).post('/v1/audit/verifications');
  expect(started.status, started.text).toBe(202);
  const location = started.headers.get('location') ?? '';
  expect(location).toBe(`/v1/audit/verifications/${started.body.id}`);
  return until(
    async () => {
      const { body } = await as(who).get(location);
      return body.status !== 'running' && body;
    },
    { timeoutMs: 240_000, intervalMs: 250, what: 'the end of the verification' },
  );
}

/** The command as a person runs it, against the fleet under test. */
function command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const root = join(import.meta.dirname, '..', '..');
  const argv = [join(root, 'infra', 'local', 'bootstrap.mjs'), 'verify', ...args];
  const env = { ...process.env, BIZ_LOCAL_DIR: localDir() };
  return promisify(execFile)(process.execPath, argv, { env, cwd: root }).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    ({ code, stdout, stderr }) => ({ code, out: stdout, err: stderr }),
  );
}

describe('the audit, verified', () => {
  it('over HTTPS: whole, and the record that was changed is named', async () => {
    const id = await newRecord();
    const before = await verification('auditor-a');
    expect(before).toMatchObject({ status: 'done', error: null, integrity: { ok: true, first_bad: null, fault_count: 0 } });
    expect(before.integrity.checked).toBeGreaterThan(0);
    expect(before.completeness.services.map(({ service }: { service: string }) => service)).toContain('cost-center');
    const after = await tampered(id, () => verification('dpo-a'));
    expect(after.integrity).toMatchObject({ ok: false, fault_count: 1, first_bad: { reason: 'leaf_differs', record_id: id } });
  });

  it('only by those whose task it is', async () => {
    expect((await as('user-a').post('/v1/audit/verifications')).status).toBe(403);
    expect((await as('auditor-a').get('/v1/audit/verifications/019374a0-5c0e-7b0b-9a55-0d6a4a1f2f11')).status).toBe(404);
    expect((await as('auditor-a').get('/v1/audit/verifications/x')).status).toBe(400);
  });

  it('by the command, against the file that is kept outside and against a note fetched by API', async () => {
    const id = await newRecord();
    const note = join(folder, 'checkpoint.txt');
    const logId = id.slice(0, id.lastIndexOf('.'));
    await writeFile(note, (await as('auditor-a').get(`/v1/audit/logs/${logId}/checkpoint`)).text);
    for (const file of [currentRun().checkpoint_file, note]) {
      expect(await command('--checkpoint', file)).toMatchObject({ code: 0, out: expect.stringMatching(/^OK/) });
    }
    const found = await tampered(id, () => command('--checkpoint', note));
    expect(found).toMatchObject({ code: 1, out: expect.stringMatching(new RegExp(`^BAD: ${id}: leaf_differs`)) });
  });
});
