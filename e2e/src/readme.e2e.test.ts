// The README's tour as a reader does it: copied into a shell, step by step.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { locateTelemetry, repository } from '@biz/local';
import { until } from '@biz/testing';
import { expect, it } from 'vitest';
import { newCpf } from './documents.ts';
import { currentRun, localDir } from './fleet.ts';

const readme = readFileSync(join(repository, 'README.md'), 'utf8');
const tour = /^## A tour\n[\s\S]*?^```sh\n([\s\S]*?)^```$/m.exec(readme)?.[1] ?? '';
const { off } = await locateTelemetry();

it('the tour of the README does what it says', { timeout: 20 * 60_000 }, async () => {
  await until(() => off !== undefined || currentRun().elasticsearch_url !== null, { what: 'telemetry', timeoutMs: 8 * 60_000 });
  const steps = tour
    .replaceAll(/(?:\.\/)?\.local\//g, `${localDir()}/`)
    .replaceAll('https://localhost:8443', currentRun().gateway)
    .replaceAll('52998224725', newCpf())
    .replace("curl -sw '\\n'", "curl -sw '\\n' --fail-with-body")
    .split('\n\n')
    .filter((step) => off === undefined || !step.includes('npm run trace'));
  // a reader looks at what came before going on: on a busy machine the record takes its time
  const arrived = 'until api auditor-a "/v1/audit/entities/client_contractor/$ID/history" | grep record_id > /dev/null; do sleep 0.2; done';
  const created = steps.findIndex((step) => step.includes('ID=$('));
  // spans are there some seconds later, and a checkpoint over the record, on a busy machine
  for (const word of ['/proof', 'npm run trace']) {
    const last = steps.findIndex((step) => step.includes(word));
    const lines = steps[last]?.split('\n') ?? [];
    const command = lines.at(-1);
    if (command) steps[last] = lines.toSpliced(-1, 0, `until ${command} > /dev/null 2>&1; do sleep 0.5; done`).join('\n');
  }
  const script = steps.toSpliced(created + 1, 0, arrived).map((step, at) => `echo "STEP ${at}"\n${step}\n`);
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script.join('\n')], {
    cwd: repository,
    env: { ...process.env, BIZ_LOCAL_DIR: localDir() },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 10 * 60_000,
  });
  const [said, faults] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  expect(child.exitCode, said + faults).toBe(0);
  const [auditor, dpo] = [...said.matchAll(/^ {2}name: (.*),$/gm)].map(([, name]) => name);
  expect([auditor, dpo]).toEqual(['{ sealed: true }', "'Maria da Silva'"]);
  for (const told of ['"tree_size"', 'OK: every record']) expect(said).toContain(told);
});
