import { randomUUID } from 'node:crypto';
import type { CallContext, RpcClient } from '@biz/rpc';
import type { RunningService } from '@biz/service';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from './report/data.ts';
import { person, type TestFleet, testFleet } from './test-fleet.ts';

const company_id = randomUUID();
const other = randomUUID();
const day = (text: string) => new Date(`2026-10-${text}Z`);
const october = { from: '2026-10-01T00:00:00Z', to: '2026-11-01T00:00:00Z' };

const auditor = person(['auditor'], [company_id]);
const platform = person(['dpo'], ['*']);

let fleet: TestFleet;
let service: RunningService & { client: RpcClient };
let reports: RpcClient;

beforeAll(async () => {
  fleet = await testFleet();
  service = await fleet.start();
  reports = fleet.client(service.address, 'biz.security.v1.ReportService');
  const failed = { type: 'LOGIN_FAILED', company_id, user_id: 'u-1' } as const;
  const again = { ...failed, event_id: randomUUID(), at: day('20T10:00:59.999') };
  await fleet.publish(
    { ...failed, at: day('20T10:00:00.000'), count: 40 },
    again,
    { ...failed, at: day('20T10:01:00.000') },
    { type: 'LOGIN_SUCCESS', company_id, user_id: 'u-1', at: day('20T10:01:30.000') },
    { type: 'ACCESS_GRANTED', company_id, user_id: 'u-<2>', at: day('21T12:00:00.000'), count: 3 },
    { type: 'ACCESS_GRANTED', company_id, user_id: 'u-<2>', at: day('22T12:00:00.000') },
    { type: 'ACCESS_DENIED_WRONG_EMPRESA', company_id, user_id: 'u-3', at: day('31T23:59:59.999'), count: 12 },
    { type: 'ACCESS_DENIED_WRONG_EMPRESA', company_id: other, user_id: 'u-4', at: day('20T10:00:00.000') },
    { type: 'LOGIN_FAILED', at: day('20T10:00:30.000') },
  );
  await fleet.publish(again);
  await fleet.publish({ type: 'LOGOUT', company_id: other, user_id: 'u-last', at: day('20T11:00:00.000') });
  await fleet.taken();
});

afterAll(async () => {
  for (const client of [reports, service?.client]) client?.[Symbol.dispose]();
  for (const part of [service, fleet]) await part?.[Symbol.asyncDispose]();
});

interface Counters {
  unit: string;
  items: { at: string; event_type: string; severity: string; count: number }[];
}
const counters = (request: object, context: CallContext = auditor) => reports.call<Counters>('GetSecurityCounters', request, context);
const report = async (request: object, context: CallContext = auditor) =>
  reports.call<{ content_type: string; data: Buffer }>('GetSecurityReport', { ...october, ...request }, context);
const reported = async (request: object, context?: CallContext) => JSON.parse((await report(request, context)).data.toString()) as Report;

describe('counters', () => {
  const hour = { from: '2026-10-20T10:00:00Z', to: '2026-10-20T11:00:00Z' };
  const minute = (text: string, event_type: string, count: number, severity = 'WARNING') => ({
    ...{ at: `2026-10-20T${text}:00.000Z`, event_type, severity, count },
  });

  it('tell of each minute, folded events as often as they happened, one that came again once', async () => {
    expect(await counters(hour)).toEqual({
      unit: 'minute',
      items: [minute('10:00', 'LOGIN_FAILED', 41), minute('10:01', 'LOGIN_FAILED', 1), minute('10:01', 'LOGIN_SUCCESS', 1, 'INFO')],
    });
    expect((await counters({ ...hour, event_type: 'security.login_success' })).items).toHaveLength(1);
  });

  it('count the companies of the caller; the platform all, and what belongs to none', async () => {
    expect((await counters(hour, platform)).items[0]).toEqual(minute('10:00', 'ACCESS_DENIED_WRONG_EMPRESA', 1, 'CRITICAL'));
    expect((await counters(hour, platform)).items[1]).toEqual(minute('10:00', 'LOGIN_FAILED', 42));
    expect((await counters({ ...hour, company_id: other }, platform)).items).toHaveLength(1);
    expect((await counters({ ...hour, company_id: other })).items ?? []).toEqual([]);
    await expect(counters(hour, person(['manager'], [company_id]))).rejects.toMatchObject({ code: 'no_role' });
  });

  it('tell of hours beyond a day, of at most 31 days', async () => {
    const { unit, items } = await counters(october);
    expect(unit).toBe('hour');
    expect(items[0]).toMatchObject({ at: '2026-10-20T10:00:00.000Z', event_type: 'LOGIN_FAILED', count: 42 });
    await expect(counters({ ...october, to: '2026-11-01T00:00:01Z' })).rejects.toMatchObject({ faults: [{ path: '/to' }] });
  });
});

describe('a report', () => {
  it('has the numbers of the period and the company', async () => {
    const made = await reported({});
    expect(made).toMatchObject({
      made_by: 'p-1',
      company_ids: [company_id],
      logins: { successes: 1, failures: 42, by_day: [{ day: '2026-10-20', successes: 1, failures: 42 }] },
      refusals: [{ event_type: 'ACCESS_DENIED_WRONG_EMPRESA', severity: 'CRITICAL', count: 12 }],
      personal_data: {
        openings: 4,
        readers: [{ user_id: 'u-<2>', resource: '/v1/teams/{id}', count: 4, first_at: day('21T12:00:00.000').toISOString() }],
        readers_omitted: 0,
      },
      storages: [{ name: 'mongodb', status: 'ok', queried: true }],
    });
    const all = await reported({}, platform);
    expect(all).toMatchObject({ company_ids: null, logins: { failures: 43 } });
    expect(await reported({ company_id: other })).toMatchObject({ logins: { failures: 0 }, refusals: [], alerts: { opened: 0 } });
  });

  it('tells of the alerts that were opened in it, and when they were answered', async () => {
    const around = { from: new Date(Date.now() - 3_600_000).toISOString(), to: new Date(Date.now() + 3_600_000).toISOString() };
    const { alerts } = await reported(around);
    expect(alerts.by_kind.map(({ kind }) => kind)).toContain('cross_tenant');
    expect(alerts).toMatchObject({ acknowledged: 0, open: alerts.opened, answer_seconds: null });
    const client = fleet.client(service.address, 'biz.security.v1.SecurityAlertService');
    const { items } = await client.call<{ items: { id: string; version: number }[] }>('ListSecurityAlerts', {}, auditor);
    const [one] = items;
    await client.call('AcknowledgeSecurityAlert', { id: one?.id, note: 'seen' }, auditor);
    client[Symbol.dispose]();
    const answered = (await reported(around)).alerts;
    expect(answered).toMatchObject({ opened: alerts.opened, acknowledged: 1, open: alerts.opened - 1 });
    expect(answered.answer_seconds?.longest).toBeGreaterThanOrEqual(0);
  });

  it('is a page in the language of the reader', async () => {
    const page = await report({ format: 'html', accept_language: 'en-GB' });
    expect(page.content_type).toBe('text/html; charset=utf-8');
    expect(page.data.toString()).toContain('<h1>Security report</h1>');
    expect(page.data.toString()).toContain('u-&lt;2&gt;');
    expect((await report({ format: 'html', locale: 'pt-BR', accept_language: 'en' })).data.toString()).toContain('Relatório de segurança');
  });
});
