// Records as large as they may be: a page of them is as long as a message of gRPC takes, and the next one goes on.
import { until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

interface Page {
  items?: { version: number }[];
  next_page_token?: string;
}

const count = 8;
/** Sees payloads: the messages are as large as they get. */
const dpo = contextOf(['dpo'], ['company-a']);
const large = { producer_service: 'loyalty_service' };
let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;

beforeAll(async () => {
  audit = await auditHarness();
  const metadata = { company_id: 'company-a', ownership_id: 'own-1' };
  const texts = Array.from({ length: count }, (_, index) => ({ id: 'c-1', note: `${index}`.repeat(900_000) }));
  await audit.send(texts.map((payload) => envelope({ event_type: 'card.changed', payload, metadata })));
  call = audit.client((await audit.start()).address);
  await until(async () => (await audit.collections.logs.findOne())?.next_offset === count, { what: 'the log', timeoutMs: 30_000 });
});
afterAll(() => audit[Symbol.asyncDispose]());

it.each([
  ['ListRecords', { ...large, order: 'desc' }],
  ['ListRecords', { ...large, order: 'asc' }],
  ['ListRecords', { entity_type: 'card', entity_id: 'c-1', order: 'desc' }],
  ['GetEntityHistory', { entity_type: 'card', entity_id: 'c-1' }],
  ['ListOwnershipRecords', { ownership_id: 'own-1' }],
])('%s gives all of them, page by page: %o', async (method, request) => {
  const versions: number[] = [];
  const lengths: number[] = [];
  let token = '';
  do {
    const page = await call<Page>(method, { ...request, page_size: 200, ...(token && { page_token: token }) }, dpo);
    versions.push(...(page.items ?? []).map(({ version }) => version));
    lengths.push(page.items?.length ?? 0);
    token = page.next_page_token ?? '';
  } while (token);
  expect(versions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
  expect(lengths).toEqual([3, 3, 2]);
});
