import type { OwnEvent } from '@biz/eventstore';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditHarness, auditHarness, contextOf } from '../testing/harness.ts';
import { missingEvent } from './finding.ts';
import { closeFindings, openFindings } from './findings.ts';
import { tellFindings } from './tell.ts';

type Page = { items?: { event_id: string }[]; next_page_token?: string };
const auditorA = contextOf(['auditor'], ['company-a']);
const log = { error: () => undefined, info: () => undefined, warn: () => undefined };

describe('findings', () => {
  let audit: AuditHarness;
  const finding = (company_id: string | null, event_id: string, at: number) =>
    missingEvent('team', { company_id, entity_type: 'team', entity_id: 't', event_id, named_version: 1 }, new Date(at));

  beforeAll(async () => {
    audit = await auditHarness();
  });
  afterAll(() => audit?.[Symbol.asyncDispose]());

  it('are listed in pages, newest first, each to those of its company', async () => {
    // for this test only: it tells of findings, which others of this file do themselves
    await using service = await audit.start();
    const { address } = service;
    const call = audit.client(address);
    const ids = Array.from({ length: 5 }, (_, n) => `a-${n}`);
    await openFindings(audit.collections, [
      ...ids.map((id, n) => finding('company-a', id, 1_000 * Math.floor(n / 2))),
      finding('company-b', 'b-0', 500),
      finding(null, 'none-0', 500),
    ]);
    await closeFindings(audit.collections, ['missing_event:team:a-3'], new Date());
    const walk = async (request: object, context: ReturnType<typeof contextOf>) => {
      const seen: string[] = [];
      let page_token = '';
      do {
        const page: Page = await call('ListFindings', { ...request, page_size: 2, ...(page_token && { page_token }) }, context);
        seen.push(...(page.items ?? []).map(({ event_id }) => event_id));
        page_token = page.next_page_token ?? '';
      } while (page_token);
      return seen;
    };
    expect(await walk({}, auditorA)).toEqual(['a-4', 'a-3', 'a-2', 'a-1', 'a-0']);
    expect(await walk({ status: 'open' }, auditorA)).toEqual(['a-4', 'a-2', 'a-1', 'a-0']);
    expect(await walk({ status: 'closed', kind: 'missing_event' }, auditorA)).toEqual(['a-3']);
    expect(await walk({ kind: 'version_differs' }, auditorA)).toEqual([]);
    expect(await walk({}, contextOf(['auditor'], ['company-b']))).toEqual(['b-0']);
    expect(await walk({}, contextOf(['auditor'], ['company-c']))).toEqual([]);
    expect(await walk({}, contextOf(['dpo'], ['company-b', 'company-c']))).toEqual(['b-0']);
    expect(await walk({ status: 'open' }, contextOf(['auditor'], ['*']))).toEqual(['a-4', 'a-2', 'none-0', 'b-0', 'a-1', 'a-0']);
    await expect(call('ListFindings', {}, contextOf(['manager'], ['company-a']))).rejects.toMatchObject({ code: 'no_role' });
    const { next_page_token } = await call<Page>('ListFindings', { page_size: 2 }, auditorA);
    await expect(
      call('ListFindings', { page_token: next_page_token, page_size: 2 }, contextOf(['auditor'], ['company-b'])),
    ).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  it('are opened once; what comes again after it was healed is another one', async () => {
    const again = finding('company-x', 'x-0', 1);
    expect(await openFindings(audit.collections, [again])).toBe(1);
    expect(await openFindings(audit.collections, [again])).toBe(0);
    await closeFindings(audit.collections, [again._id], new Date(77));
    expect(await openFindings(audit.collections, [again])).toBe(1);
    expect(await openFindings(audit.collections, [again])).toBe(0);
    const all = await audit.collections.findings.find({ event_id: 'x-0' }).sort({ _id: 1 }).toArray();
    expect(all.map(({ _id, status }) => [_id, status])).toEqual([
      ['missing_event:team:x-0', 'closed'],
      ['missing_event:team:x-0@77', 'open'],
    ]);
  });

  it('are told once: a crash before they are marked tells the same events again', async () => {
    await audit.collections.findings.deleteMany({});
    const appended: OwnEvent[] = [];
    const crashing = { append: async (events: readonly OwnEvent[]) => void appended.push(...events) };
    const dying = {
      ...log,
      error: () => {
        throw new Error('killed');
      },
    };
    await openFindings(audit.collections, [finding('company-a', 'told', 1_000)]);
    const parts = { db: audit.database.db, collections: audit.collections, outbox: crashing, log };
    await expect(tellFindings({ ...parts, log: dying })).rejects.toThrow('killed');
    expect(await tellFindings(parts)).toBe(true);
    expect(await tellFindings(parts)).toBe(false);
    await closeFindings(audit.collections, ['missing_event:team:told'], new Date(0));
    expect(await tellFindings(parts)).toBe(true);
    expect(appended.map(({ type, version }) => [type, version])).toEqual([
      ['audit_finding.opened', 1],
      ['audit_finding.opened', 1],
      ['audit_finding.closed', 2],
    ]);
    const [first, second, closing] = appended.map(({ event_id = '' }) => event_id);
    expect(first).toBe(second);
    expect((closing ?? '') > (first ?? '')).toBe(true);
  });
});
