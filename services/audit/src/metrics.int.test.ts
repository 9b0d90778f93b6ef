import { type TestDatabase, type TestTelemetry, testDatabase, testTelemetry, until } from '@biz/testing';
import { Binary } from 'mongodb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Collections, collectionsOf, ensureIndexes } from './collections.ts';
import { missingEvent } from './completeness/finding.ts';
import { watchFindings } from './completeness/open-findings.ts';
import { watchCheckpointAge } from './integrity/checkpoint-age.ts';
import { checkpointId } from './keys.ts';
import { auditHarness } from './testing/harness.ts';
import { createVerifications, type VerificationLease, type VerificationParts } from './verify/verifications.ts';

let telemetry: TestTelemetry;
let database: TestDatabase;
let collections: Collections;
beforeEach(async () => {
  [telemetry, database] = await Promise.all([testTelemetry(), testDatabase('audit-metrics')]);
  collections = collectionsOf(database.db);
  await ensureIndexes(collections);
});
afterEach(async () => {
  await Promise.all([telemetry[Symbol.asyncDispose](), database[Symbol.asyncDispose]()]);
});
const points = async (name: string) => (await telemetry.collect()).get(name) ?? [];
/** A gauge whose question is not answered in time has no value then. */
const gauge = (name: string) =>
  until(
    async () => {
      const found = await points(name);
      return found.length > 0 && found;
    },
    { what: name },
  );

it('findings that are open, by kind', async () => {
  using _ = watchFindings(collections);
  const about = { company_id: 'c', entity_type: 'team', entity_id: 't', named_version: 1 };
  const [open, closed] = ['e-1', 'e-2'].map((event_id) => missingEvent('team', { ...about, event_id }, new Date()));
  await collections.findings.insertMany([open, { ...closed, status: 'closed' }] as never);
  const found = await gauge('biz.audit.findings.open');
  expect(found.map(({ attributes, value }) => [attributes['biz.finding.kind'], value])).toEqual([
    ['missing_event', 1],
    ['unknown_to_service', 0],
    ['version_differs', 0],
  ]);
});

it('for how long records wait for a signature while none is made', async () => {
  using _ = watchCheckpointAge(collections);
  const age = async () => (await gauge('biz.audit.checkpoint.age'))[0]?.value as number;
  const root = new Binary(Buffer.alloc(32));
  const sign = (size: number) =>
    collections.checkpoints.insertOne({
      _id: checkpointId('audit-0', size),
      log_id: 'audit-0',
      size,
      root,
      note: '',
      created_at: new Date(),
    });
  expect(await age()).toBe(0);
  await collections.logs.insertOne({ _id: 'audit-0', size: 5, applied: 5, next_offset: 5, updated_at: new Date(0) } as never);
  await until(async () => (await age()) > 0, { what: 'an age' });
  await sign(5);
  await until(async () => (await age()) === 0, { what: 'all to be signed' });
  // a log that stood still for years and goes on now has not waited for years
  await collections.logs.updateOne({ _id: 'audit-0' }, { $set: { size: 6 } });
  await until(async () => (await age()) > 0, { what: 'an age again' });
  expect(await age()).toBeLessThan(60);
});

it('verdicts of verifications, by kind', async () => {
  const verdicts = [
    { ok: true, compared: true, findings: [] },
    { ok: false, compared: false, findings: [{ id: 'f', kind: 'missing_event', company_id: null }] },
    { ok: true, compared: false, findings: [] },
    undefined,
  ];
  const leases = database.db.collection<VerificationLease>('leases');
  for (const verdict of verdicts) {
    const parts: VerificationParts = {
      ...{ verifications: collections.verifications, leases, beatMs: 1_000, staleMs: 10_000 },
      integrity: async () => (verdict ? ({ ok: verdict.ok, checked: 1 } as never) : Promise.reject(new Error('away'))),
      completeness: async () => ({ compared: verdict?.compared ?? true, services: [], findings: verdict?.findings ?? [] }),
      log: { error: () => undefined, info: () => undefined },
    };
    await using verifications = createVerifications(parts);
    const { _id } = await verifications.start('u-1');
    await until(async () => (await verifications.get(_id))?.status !== 'running', { what: 'its end' });
  }
  const figures = (await points('biz.audit.verifications')).map(({ attributes, value }) => [
    `${attributes['biz.verification.kind']} ${attributes['biz.verification.result']}`,
    value,
  ]);
  expect(Object.fromEntries(figures)).toEqual({
    ...{ 'integrity ok': 2, 'integrity bad': 1, 'integrity failed': 1 },
    ...{ 'completeness ok': 1, 'completeness findings': 1, 'completeness incomplete': 1, 'completeness failed': 1 },
  });
});

it('how comparisons with the services end', async () => {
  await using audit = await auditHarness();
  await using _ = await audit.start({}, { SERVICE_ADDRESSES: 'team=127.0.0.1:9', RECONCILE_EVERY_SECONDS: '0.05' });
  const [first] = await gauge('biz.audit.comparisons');
  expect(first?.attributes).toEqual({ 'biz.peer': 'team', 'biz.comparison.state': 'unreachable' });
});
