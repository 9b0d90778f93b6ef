import { randomUUID } from 'node:crypto';
import { AppError, type Withheld } from '@biz/errors';
import type { CallContext } from '@biz/rpc';
import { until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuditHarness, auditHarness, contextOf, envelope } from '../testing/harness.ts';

let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;
const [cardId, personId] = [randomUUID(), randomUUID()];
const [dpoA, dpoB] = [contextOf(['dpo'], ['company-a']), contextOf(['dpo'], ['company-b'])];
const platform = contextOf(['dpo'], ['*']);
const both = contextOf(['dpo'], ['company-a', 'company-b']);
const bOfBoth: CallContext = { ...both, company_id: 'company-b' };

beforeAll(async () => {
  audit = await auditHarness();
  const sent = [
    envelope({ payload: { id: cardId }, metadata: { company_id: 'company-a', ownership_id: personId } }),
    envelope({ payload: { id: 'c-1' }, metadata: { company_id: 'company-a', ownership_id: 'own-1' } }),
  ];
  await audit.send(sent.map((one) => ({ value: JSON.stringify(one) })));
  const service = await audit.start();
  call = audit.client(service.address);
  await until(async () => (await audit.collections.logs.findOne())?.next_offset === sent.length, { what: 'the log', timeoutMs: 30_000 });
});
afterAll(() => audit[Symbol.asyncDispose]());

/** How a look ends: what the caller hears, and what only the fleet does. */
async function look(method: string, request: object, who: CallContext): Promise<[string, Withheld | undefined]> {
  const error = await call(method, request, who).then(
    () => new Error('found'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw error;
  expect(error.code).toBe('not_found');
  return [error.message, error.withheld];
}

it.each([
  [
    'GetRecord',
    async () => ({ record_id: (await audit.collections.events.findOne({ entity_id: cardId }))?._id }),
    { record_id: 'audit-0.000000000099' },
  ],
  ['GetEntityHistory', () => ({ entity_type: 'card', entity_id: cardId }), { entity_type: 'card', entity_id: randomUUID() }],
  ['GetEntityState', () => ({ entity_type: 'card', entity_id: cardId }), { entity_type: 'card', entity_id: randomUUID() }],
  ['GetOwnership', () => ({ ownership_id: personId }), { ownership_id: randomUUID() }],
  ['ListOwnershipRecords', () => ({ ownership_id: personId }), { ownership_id: randomUUID() }],
])('%s tells the fleet, and not the caller, of a look at another company', async (method, there, absent) => {
  const foreign = await look(method, await there(), dpoB);
  const nothing = await look(method, absent, dpoB);
  expect([foreign[0], nothing[1]]).toEqual([nothing[0], undefined]);
  expect(foreign[1]).toBe('wrong_company');
  // one's own, looked for in the wrong place, and what nobody has
  expect((await look(method, await there(), bOfBoth))[1]).toBeUndefined();
  expect((await look(method, absent, platform))[1]).toBeUndefined();
  await expect(call(method, await there(), dpoA)).resolves.toBeDefined();
});

it('an id that producers number by company is no attempt', async () => {
  expect((await look('GetEntityHistory', { entity_type: 'card', entity_id: 'c-1' }, dpoB))[1]).toBeUndefined();
  expect((await look('GetOwnership', { ownership_id: 'own-1' }, dpoB))[1]).toBeUndefined();
});
