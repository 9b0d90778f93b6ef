// Fault 22 through the whole fleet: whatever a text holds, it is stored and shown as data, forges no line of a log and no formula of a table.
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { until } from '@biz/testing';
import { describe, expect, it } from 'vitest';
import { as, auditHistory } from './client.ts';
import { newCpf } from './documents.ts';
import { localDir } from './fleet.ts';

const mark = randomUUID();
const texts = [
  `a\r\n{"level":30,"msg":"forged ${mark}"}\r\nb`,
  `\u001b[31m${mark}\u001b[2J\u009b1m`,
  `\u202e\u2066${mark}\u200f`,
  `a\u0000${mark}`,
  `<script>alert("${mark}")</script>`,
  `=HYPERLINK("http://evil.example","${mark}")`,
  `+1;-1;@SUM(1)${mark}`,
];

describe.each(texts)('the text %j', (name) => {
  it('is what the service, the audit and its files give back', async () => {
    const created = await as('admin-a').post('/v1/cost-centers', { code: randomUUID().slice(0, 13), name });
    expect(created.status, created.text).toBe(201);
    expect((await as('admin-a').get(`/v1/cost-centers/${created.body.id}`)).body.name).toBe(name);
    const [record] = await auditHistory('cost_center', created.body.id, 1, 'auditor-a');
    expect(record.payload.name).toBe(name);
    // An export has what is below its log's size, which moves once a batch is complete: a moment after its records can be read.
    const csv = await until(
      async () => {
        const answer = await as('auditor-a').get(`/v1/audit/export?format=csv&entity_type=cost_center&entity_id=${created.body.id}`);
        expect(answer.status, answer.text).toBe(200);
        return answer.text.includes(mark) && answer;
      },
      { what: 'the record in the export', timeoutMs: 90_000 },
    );
    expect(csv.text).not.toMatch(/(^|[,\n])"?[=+@]/); // no cell that a spreadsheet would compute
  });

  it('is a personal field like any other', async () => {
    const person = { document: newCpf(), name, email: `${randomUUID()}@example.com` };
    const created = await as('manager-a').post('/v1/client-contractors', person);
    expect(created.status, created.text).toBe(201);
    expect((await as('manager-a').get(`/v1/client-contractors/${created.body.id}`)).body.name).toBe(name);
  });
});

it('no line of a log is forged, and none moves a terminal', () => {
  const logs = readdirSync(`${localDir()}/logs`).map((file) => ({ file, text: readFileSync(`${localDir()}/logs/${file}`, 'utf8') }));
  expect(logs.filter(({ text }) => text.includes(mark)).map(({ file }) => file)).toEqual([]);
  const ours = logs.filter(({ file }) => /^(gateway|cost-center|client-contractor|audit)\b/.test(file));
  expect(ours.length).toBeGreaterThanOrEqual(4);
  for (const { file, text } of ours) expect(text.replaceAll('\n', ''), file).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
});
