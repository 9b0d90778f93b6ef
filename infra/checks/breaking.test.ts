import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, test } from 'vitest';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'biz-contract-'));
const costCenter = join(root, 'biz/cost_center/v1/cost_center.proto');
afterAll(() => rmSync(root, { recursive: true }));
beforeEach(() => {
  // the last release's contract itself, so that what a test changes is all that has changed
  const releases = readdirSync(join(repository, 'protos/releases')).filter((name) => /^\d/.test(name));
  const [last = ''] = releases.sort((one, other) => other.localeCompare(one, 'en', { numeric: true }));
  for (const part of ['biz', 'google']) cpSync(join(repository, 'protos/releases', last, part), join(root, part), { recursive: true });
  mkdirSync(join(root, 'releases'), { recursive: true });
  except([]);
});

function except(exceptions: { finding: string; reason: string }[]): void {
  writeFileSync(join(root, 'releases/exceptions.json'), JSON.stringify(exceptions));
}

function edit(from: string | RegExp, to: string): void {
  const text = readFileSync(costCenter, 'utf8');
  expect(text).toMatch(from);
  writeFileSync(costCenter, text.replace(from, to));
}

function run(): { status: number | null; told: string } {
  const script = fileURLToPath(new URL('breaking.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=source', script, root], { encoding: 'utf8' });
  return { status, told: stderr + stdout };
}

/** Longer than a check takes on a machine that is busy with other tests. */
const patience = 120_000;

test('an optional field breaks nothing', { timeout: patience }, () => {
  edit(
    'optional int64 budget_cents = 10',
    'optional string area = 12 [(biz.field) = { max_len: 20 }];\n  optional int64 budget_cents = 10',
  );
  expect(run()).toEqual({ status: 0, told: expect.stringMatching(/^breaking: compared with \S+, 0 intended breaks, 0 faults\n$/) });
});

test('what breaks is told, each by its rule', { timeout: patience }, () => {
  edit('"auditor", "dpo", "user"', '"auditor", "dpo"');
  edit('code = 1 [(biz.field) = { required: true max_len: 40', 'code = 1 [(biz.field) = { required: true max_len: 20');
  edit(/ {2}rpc EnableCostCenter[\s\S]*?\n {2}}\n/, '');
  edit(/.*string parent_id = 9 .*\n/, '');
  edit('string name = 8', 'string title = 8');
  edit('optional int64 budget_cents = 10', 'optional double budget_cents = 10');
  const { status, told } = run();
  expect(status).toBe(1);
  const rules = [...told.matchAll(/^breaks \S+: (\S+)/gm)].map(([, rule]) => rule).sort();
  expect([...new Set(rules)]).toEqual([
    ...['FIELD_NO_DELETE', 'FIELD_SAME_JSON_NAME', 'FIELD_SAME_NAME', 'FIELD_SAME_TYPE'],
    ...['LIMIT_NARROWED', 'ROLE_REMOVED', 'RPC_NO_DELETE'],
  ]);
  expect(told).toContain('ROLE_REMOVED /biz.cost_center.v1.CostCenterService/GetCostCenter: user may no longer call it');
});

test('an intended break passes with its reason; one without, and one of nothing, do not', { timeout: patience }, () => {
  edit('get: "/v1/cost-centers/{id}"', 'get: "/v2/cost-centers/{id}"');
  const [, finding = ''] = /^breaks \S+: (.*)$/m.exec(run().told) ?? [];
  except([{ finding, reason: 'No client has used it since 2026.' }]);
  expect(run()).toEqual({ status: 0, told: expect.stringContaining('1 intended breaks, 0 faults') });
  except([
    { finding, reason: ' ' },
    { finding: 'ROLE_REMOVED nobody', reason: 'x' },
  ]);
  const { status, told } = run();
  expect([status, told]).toEqual([1, expect.stringContaining(`has no reason: ${finding}`)]);
  expect(told).toContain('nothing breaks so: ROLE_REMOVED nobody');
});
