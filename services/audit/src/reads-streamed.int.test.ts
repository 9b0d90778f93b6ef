import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { EventDocument } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { createRpcClient } from '@biz/rpc';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

/** More than the way to the caller holds, so that a caller who takes nothing stops an export in the middle. */
const TOTAL = 2_000;
const OPEN_READ_SECONDS = '1';
let audit: AuditHarness;
let address: string;
const dpoA = contextOf(['dpo'], ['company-a']);

beforeAll(async () => {
  audit = await auditHarness();
  const padding = 'x'.repeat(2_000);
  const messages = Array.from({ length: TOTAL }, (_, n) =>
    envelope({ payload: { id: `c-${n}`, padding }, metadata: { company_id: 'company-a', ownership_id: `own-${n % 300}` } }),
  );
  const sender = audit.plain.producer();
  await sender.connect();
  for (let at = 0; at < TOTAL; at += 250) {
    await sender.send({ topic: audit.topic, messages: messages.slice(at, at + 250).map((one) => ({ value: JSON.stringify(one) })) });
  }
  await sender.disconnect();
  ({ address } = await audit.start({}, { OPEN_READ_SECONDS }));
  await until(async () => (await audit.collections.logs.findOne())?.next_offset === TOTAL, { what: 'the log', timeoutMs: 60_000 });
});
afterAll(() => audit[Symbol.asyncDispose]());

const filters = { producer_service: 'loyalty_service' };
const events = () => audit.database.db.collection<EventDocument>('events').find({ type: 'audit.read' }).sort({ _id: 1 }).toArray();
const openReads = () => audit.database.db.collection('open_reads');
const ended = (count: number) =>
  until(async () => ((await events()).length === count ? events() : undefined), { what: 'the event of the read' });

/** An export by a caller who takes message after message. */
function exportFrom(at: string) {
  const contract = loadContract();
  const client = createRpcClient({ contract, service: 'biz.audit.v1.ExportService', address: at, tls: audit.tls.tls('gateway') });
  const messages = client.stream<{ data?: Uint8Array }>('ExportRecords', filters, dpoA)[Symbol.asyncIterator]();
  return { messages, [Symbol.dispose]: () => client[Symbol.dispose]() };
}

describe('an export', () => {
  it('to its end is one read, with its count', async () => {
    using all = exportFrom(address);
    let lines = 0;
    for (let next = await all.messages.next(); !next.done; next = await all.messages.next()) {
      lines +=
        Buffer.from(next.value.data ?? [])
          .toString()
          .split('\n').length - 1;
    }
    expect(lines).toBe(TOTAL);
    const [read] = await ended(1);
    expect(read?.data).toMatchObject({
      rpc: 'biz.audit.v1.ExportService/ExportRecords',
      filters,
      count: TOTAL,
      ownership_count: 300,
      outcome: 'answered',
    });
    expect(read?.data.ownership_ids).toHaveLength(200);
    expect(await openReads().countDocuments()).toBe(0);
  });

  it('that its caller leaves in the middle is recorded so', async () => {
    using left = exportFrom(address);
    await left.messages.next();
    expect(await openReads().countDocuments()).toBe(1);
    await left.messages.return?.();
    const [, read] = await ended(2);
    expect(read?.data).toMatchObject({ outcome: 'cancelled', ownership_ids: expect.arrayContaining(['own-0']) });
    expect(read?.data.count).toBeGreaterThan(0);
    expect(read?.data.count).toBeLessThan(TOTAL);
  });

  it('whose process is killed with signal 9 in the middle is recorded by another', async () => {
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', main], {
      env: { ...process.env, ...audit.env, OPEN_READ_SECONDS, LOG_LEVEL: 'error' },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const [ready] = (await once(child, 'message')) as [{ address: string }];
    using first = exportFrom(ready.address);
    expect((await first.messages.next()).value?.data?.length).toBeGreaterThan(0);
    expect(await events()).toHaveLength(2);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await expect(first.messages.next().then(drain)).rejects.toMatchObject({ code: 'unavailable' });
    const [, , read] = await ended(3);
    expect(read?.meta).toMatchObject({ owner_id: 'u-test', owner_role: 'dpo', company_id: 'company-a' });
    expect(read?.data).toMatchObject({ outcome: 'interrupted', filters });
    expect(read?.data.count).toBeGreaterThan(0);
    await until(async () => (await openReads().countDocuments()) === 0, { what: 'the open read to be closed' });

    async function drain(): Promise<never> {
      for (;;) if ((await first.messages.next()).done) throw new Error('it came to its end');
    }
  });
});
