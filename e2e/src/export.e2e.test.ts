// Records as files over HTTPS: what a person of one company gets, compressed, cut off and continued.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { until } from '@biz/testing';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as } from './client.ts';
import { currentRun } from './fleet.ts';

const { admin, auditor, other } = { admin: as('admin-a'), auditor: as('auditor-a'), other: as('admin-b') };
const name = `Export ${randomUUID()}`;
const ids: string[] = [];
let agent: Agent;

async function change(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const answer = await admin.post('/v1/cost-centers', { code: randomUUID().slice(0, 13), name });
    expect(answer.status).toBe(201);
    ids.push(answer.body.id);
  }
  await until(async () => ours(await exported('entity_type=cost_center')).length === ids.length, {
    what: 'the records',
    timeoutMs: 90_000,
  });
}

/** Ids of the entities of this file among exported records: what other files made may still be on its way to the audit. */
function ours(records: readonly { entity_id: string }[]): string[] {
  return records.map(({ entity_id }) => entity_id).filter((id) => ids.includes(id));
}

async function exported(query: string, who = auditor): Promise<{ cursor: string; entity_id: string; record_id: string }[]> {
  const answer = await who.get(`/v1/audit/export?${query}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.text.split('\n').flatMap((line) => (line ? [JSON.parse(line)] : []));
}

beforeAll(async () => {
  agent = new Agent({ connect: { ca: readFileSync(currentRun().ca_file) } });
  await change(3);
});
afterAll(() => agent?.close());

describe('an export', () => {
  it('has the company’s records, and a cursor that finds the new ones only', async () => {
    const all = await exported('entity_type=cost_center');
    expect(new Set(all.map(({ record_id }) => record_id)).size).toBe(all.length);
    const cursor = encodeURIComponent(all.at(-1)?.cursor as string);
    expect(ours(await exported(`entity_type=cost_center&cursor=${cursor}`))).toEqual([]);
    const before = ids.length;
    await change(2);
    const since = await exported(`entity_type=cost_center&cursor=${cursor}`);
    expect(ours(since).sort()).toEqual(ids.slice(before).sort());
    const old = new Set(all.map(({ record_id }) => record_id));
    expect(since.filter(({ record_id }) => old.has(record_id))).toEqual([]);
    expect(ours(await exported('entity_type=cost_center', other))).toEqual([]);
  });

  it('comes as CSV and OCSF, compressed when asked', async () => {
    const csv = await auditor.get('/v1/audit/export?format=csv&entity_type=cost_center');
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(csv.text.split('\r\n')[0]).toMatch(/^record_id,event_id,.*,cursor$/);
    const headers = { authorization: `Bearer ${await auditor.token()}`, 'accept-encoding': 'gzip' };
    const url = `${currentRun().gateway}/v1/audit/export?format=ocsf&entity_type=cost_center`;
    const ocsf = await request(url, { dispatcher: agent, headers });
    expect(ocsf.headers['content-encoding']).toBe('gzip');
    const lines = gunzipSync(Buffer.from(await ocsf.body.arrayBuffer()))
      .toString()
      .trimEnd()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line).class_uid)).toEqual(lines.map(() => 3004));
    expect(lines.length).toBeGreaterThanOrEqual(ids.length);
  });

  it('is refused as a problem document', async () => {
    expect(await auditor.get('/v1/audit/export?cursor=nonsense')).toMatchObject({ status: 400, body: { errors: [{ path: '/cursor' }] } });
    expect(await as('user-a').get('/v1/audit/export')).toMatchObject({ status: 403, body: { code: 'no_role' } });
  });
});
