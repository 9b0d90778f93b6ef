import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@biz/errors';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcServer, type Handler, type RpcClient, type RpcServer } from '@biz/rpc';
import { createLog, type RunningService } from '@biz/service';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Draft, person, type TestFleet, testFleet } from './test-fleet.ts';

type Service = RunningService & { client: RpcClient };
type Alert = Record<string, unknown> & { id: string; kind: string; user_id?: string; subject?: string; company_id?: string };
type Asked = { request: { channel: string; to: string; template: string; data: string }; context: CallContext };

const company_id = randomUUID();
const other = randomUUID();
const admin = person(['admin'], [company_id]);
const auditor = person(['auditor'], [company_id]);
const platform = person(['auditor', 'dpo'], ['*']);
const start = Date.parse('2026-11-20T10:00:00.000Z');

let fleet: TestFleet;
let service: Service;
let notification: RpcServer;
const asked: Asked[] = [];
let environment: Record<string, string>;

beforeAll(async () => {
  fleet = await testFleet();
  const contract = loadContract();
  const name = 'biz.notification.v1.NotificationService';
  const unused: Handler = async () => Promise.reject(new AppError('unimplemented', 'not here'));
  const create: Handler = async (request: Asked['request'], { context }) => {
    asked.push({ request, context });
    return { id: randomUUID() };
  };
  notification = await createRpcServer({
    ...{ contract, services: [name], listen: '127.0.0.1:0', tls: fleet.tls.tls('notification') },
    ...{ allowedPeers: [], reflection: false, log: createLog('notification', 'silent') },
    handlers: {
      ...Object.fromEntries(contract.service(name).methods.map((method) => [method.name, unused])),
      CreateNotification: create,
    },
  });
  environment = {
    SERVICE_ADDRESSES: `notification=${notification.address}`,
    ALERT_EMAILS: 'seguranca@example.com',
    ALERT_RULES_REFRESH_MS: '0',
  };
  service = await fleet.start(environment);
});

afterAll(async () => {
  service?.client[Symbol.dispose]();
  for (const part of [service, notification, fleet]) await part?.[Symbol.asyncDispose]();
});

const call = <Answer = Alert>(method: string, request: object, context: CallContext = admin, suffix = 'Alert') =>
  fleet.client(service.address, `biz.security.v1.Security${suffix}Service`).call(method, request, context) as unknown as Promise<Answer>;
const alerts = async (filters: object = {}, context = platform) =>
  (await call<{ items?: Alert[] }>('ListSecurityAlerts', { page_size: 200, ...filters }, context)).items ?? [];
const alertsOf = async (user: string) => (await alerts()).filter(({ user_id }) => user_id === user);
const failed = (user_id: string | null, second: number, over: Partial<Draft> = {}): Draft => ({
  ...{ type: 'LOGIN_FAILED', company_id, user_id, ip: `198.51.100.${second % 200}`, at: new Date(start + second * 1000), ...over },
});
const failures = (user: string, from: number, count: number) => Array.from({ length: count }, (_, n) => failed(user, from + n));

describe('alerts', { timeout: 180_000 }, () => {
  it('come once a burst, over two partitions, and again after a quiet window', async () => {
    const user = randomUUID();
    const [first = ''] = await fleet.publish(...failures(user, 0, 4));
    await fleet.taken();
    expect(await alertsOf(user)).toEqual([]);
    // one of them again, then more
    await fleet.publish({ ...failed(user, 0), event_id: first }, ...failures(user, 10, 6));
    await fleet.taken();
    const [alert, ...more] = await alertsOf(user);
    expect(more).toEqual([]);
    expect(alert).toMatchObject({
      kind: 'failed_logins',
      severity: 'WARNING',
      status: 'open',
      company_id,
      threshold: 5,
      window_seconds: 300,
    });
    expect(alert?.count).toBeGreaterThanOrEqual(5);
    await fleet.publish(...failures(user, 600, 5));
    await fleet.taken();
    expect(await alertsOf(user)).toHaveLength(2);
  });

  it('are the same over a restart in the middle and with two instances', async () => {
    const [one, two] = [randomUUID(), randomUUID()];
    await fleet.publish(...failures(one, 0, 3), ...failures(two, 0, 4));
    await fleet.taken();
    await service[Symbol.asyncDispose]();
    await fleet.publish(...failures(one, 3, 1));
    service = await fleet.start(environment);
    const second = await fleet.start(environment);
    try {
      await fleet.publish(...failures(one, 4, 8), ...failures(two, 4, 8));
      await fleet.taken();
      for (const user of [one, two]) expect(await alertsOf(user)).toHaveLength(1);
    } finally {
      second.client[Symbol.dispose]();
      await second[Symbol.asyncDispose]();
    }
  });

  it('by address count over all companies, by folded events as often as they say, and belong to the platform', async () => {
    const ip = '192.0.2.77';
    await fleet.publish(
      failed(null, 0, { ip, company_id: null }),
      failed(null, 1, { ip }),
      failed(null, 2, { ip, company_id: other, count: 18 }),
    );
    const found = await until(async () => (await alerts({ severity: 'ERROR' })).find(({ subject }) => subject === ip), {
      what: 'the alert',
    });
    expect(found).toMatchObject({ rule_id: 'builtin:failed_logins:ip', group_by: 'ip', count: 20 });
    expect(found.company_id).toBeUndefined();
    expect((await alerts({}, admin)).map(({ id }) => id)).not.toContain(found.id);
    await expect(call('GetSecurityAlert', { id: found.id })).rejects.toMatchObject({ code: 'not_found' });
    // an address is nowhere in clear
    const collections = ['alert_hits', 'alert_pairs', 'events', 'current'];
    const texts = await Promise.all(
      collections.map(async (name) => JSON.stringify(await fleet.database.db.collection(name).find().toArray())),
    );
    expect(texts.join()).not.toContain(ip);
  });

  it('of somebody unknown are by the name that was tried, sealed', async () => {
    await fleet.publish(...Array.from({ length: 5 }, (_, n) => failed(null, n, { email: 'Zulmira@example.com' })));
    const found = await until(async () => (await alerts({}, admin)).find(({ subject }) => subject === 'Zulmira@example.com'), {
      what: 'the alert',
    });
    expect(found).toMatchObject({ group_by: 'user', count: 5 });
    const [stored] = await fleet.database.db.collection('events').find({ 'meta.entity_id': found.id }).toArray();
    expect(JSON.stringify(stored)).not.toContain('ulmira');
  });

  it('are acknowledged once, by a person of the company', async () => {
    const user_id = randomUUID();
    await fleet.publish({ type: 'ACCESS_DENIED_WRONG_CLIENTE', company_id, user_id });
    const [{ id } = { id: '' }] = await until(async () => (await alertsOf(user_id)).length > 0 && alertsOf(user_id), { what: 'the alert' });
    const foreign = person(['admin'], [other]);
    await expect(call('AcknowledgeSecurityAlert', { id }, foreign)).rejects.toMatchObject({ code: 'not_found' });
    const done = await call('AcknowledgeSecurityAlert', { id, note: 'Conhecido.' });
    expect(done).toMatchObject({
      status: 'acknowledged',
      acknowledged_by: 'p-1',
      note: 'Conhecido.',
      answered_after_seconds: expect.anything(),
    });
    await expect(call('AcknowledgeSecurityAlert', { id })).rejects.toMatchObject({ code: 'conflict' });
    expect((await alerts({ status: 'acknowledged' }, admin)).map((one) => one.id)).toEqual([id]);
    const events = await fleet.database.db.collection('events').find({ 'meta.entity_id': id }).sort({ stream_id: 1, version: 1 }).toArray();
    expect(events.map(({ type }) => type)).toEqual(['security_alert.opened', 'security_alert.acknowledged']);
  });

  it('are told to whom the installation names, once', async () => {
    const opened = new Set((await alerts()).map(({ id }) => id));
    const told = () =>
      asked.filter(({ request }) => request.to === 'seguranca@example.com').map(({ request }) => JSON.parse(request.data).alert_id);
    await until(() => new Set(told()).size >= opened.size, { what: 'every alert to be told' });
    const { request, context } = asked[0] as Asked;
    expect(request).toMatchObject({ channel: 'email', template: 'security_alert', locale: 'pt-BR' });
    expect(context.idempotency_key).toContain(JSON.parse(request.data).alert_id);
    expect(JSON.stringify(asked)).not.toMatch(/ulmira|192\.0\.2\.77/);
    expect(asked.map((one) => one.context.idempotency_key).join()).not.toContain('@');
    expect(new Set(asked.map((one) => one.context.idempotency_key)).size).toBe(new Set(told()).size);
  });
});

describe('a login', { timeout: 180_000 }, () => {
  const login = (user_id: string, ip: string, second: number): Draft => ({ ...failed(user_id, second, { ip }), type: 'LOGIN_SUCCESS' });

  it('from a new country is an alert, once, also when it comes again after a restart', async () => {
    const wanted = { name: 'x', kind: 'new_country', threshold: 1, window_seconds: 60, group_by: 'user', severity: 'INFO' };
    const unknowing = call('CreateSecurityRule', wanted, admin, 'Rule');
    await expect(unknowing).rejects.toMatchObject({ faults: [{ path: '/kind', message: expect.stringContaining('ALERT_IP_COUNTRIES') }] });
    await using folder = await mkdtempDisposable(join(tmpdir(), 'countries-'));
    const file = join(folder.path, 'table.csv');
    await writeFile(file, '192.0.2.0,192.0.2.255,BR\n198.51.100.0,198.51.100.255,US\n203.0.113.0,203.0.113.255,PT\n');
    await service[Symbol.asyncDispose]();
    service = await fleet.start({ ...environment, ALERT_IP_COUNTRIES: file });
    const user = randomUUID();
    await fleet.publish(login(user, '192.0.2.1', 0), login(user, '192.0.2.9', 1));
    await fleet.taken();
    expect(await alertsOf(user)).toEqual([]);
    const [id = ''] = await fleet.publish(login(user, '198.51.100.1', 60));
    await fleet.taken();
    await fleet.publish(
      { ...login(user, '198.51.100.1', 60), event_id: id },
      login(user, '192.0.2.1', 120),
      login(user, '198.51.100.7', 180),
    );
    await fleet.taken();
    expect(await alertsOf(user)).toMatchObject([{ kind: 'new_country', subject: 'US', user_id: user, event_ids: [id] }]);
    // written down before the country is: another time is the same alert
    await fleet.database.db
      .collection<{ _id: string; seen: string[] }>('alert_countries')
      .updateOne({ _id: user }, { $set: { seen: ['BR'] } });
    await fleet.publish({ ...login(user, '198.51.100.1', 60), event_id: id }, login(user, '203.0.113.1', 240));
    await fleet.taken();
    expect((await alertsOf(user)).map(({ subject }) => subject).sort()).toEqual(['PT', 'US']);
  });
});

describe('rules', { timeout: 180_000 }, () => {
  const rule = (over: object = {}) => ({
    ...{ name: 'Um só', kind: 'failed_logins', threshold: 2, window_seconds: 60, group_by: 'user', severity: 'CRITICAL' },
    ...{ emails: ['chefe@example.com', 'outra@example.com'], webhook_url: 'https://hooks.example.com/x?token=1', ...over },
  });
  const of = (method: string, request: object, context = admin) =>
    call<Alert & { version: string; emails?: string[] }>(method, request, context, 'Rule');

  it('take the place of the built-in ones of their kind, for their company alone, and name who is told', async () => {
    const made = await of('CreateSecurityRule', rule());
    expect(made).toMatchObject({ status: 'active', company_id, emails: ['chefe@example.com', 'outra@example.com'] });
    const [mine, theirs] = [randomUUID(), randomUUID()];
    await fleet.publish(...failures(mine, 0, 2), ...failures(theirs, 0, 4).map((one) => ({ ...one, company_id: other })));
    await fleet.taken();
    expect(await alertsOf(theirs)).toEqual([]);
    const [alert] = await alertsOf(mine);
    expect(alert).toMatchObject({ rule_id: made.id, severity: 'CRITICAL', count: 2 });
    const to = () =>
      asked
        .filter(({ request }) => JSON.parse(request.data).alert_id === alert?.id)
        .map(({ request }) => `${request.channel} ${request.to}`);
    await until(() => new Set(to()).size === 3, { what: 'three to be told' });
    expect(new Set(to())).toEqual(
      new Set(['email chefe@example.com', 'email outra@example.com', 'webhook https://hooks.example.com/x?token=1']),
    );
    const [stored] = await fleet.database.db.collection('events').find({ 'meta.entity_id': made.id }).toArray();
    expect(JSON.stringify(stored)).not.toMatch(/chefe|token/);

    // disabled, it still stands in the place of the built-in one
    await of('DisableSecurityRule', { id: made.id });
    const quiet = randomUUID();
    await fleet.publish(...failures(quiet, 0, 30));
    await fleet.taken();
    expect(await alertsOf(quiet)).toEqual([]);
    await of('DeleteSecurityRule', { id: made.id });
    const again = randomUUID();
    await fleet.publish(...failures(again, 0, 5));
    await fleet.taken();
    expect(await alertsOf(again)).toHaveLength(1);
  });

  it('are kept by administrators of the company and by people of the platform', async () => {
    await expect(of('CreateSecurityRule', rule(), auditor)).rejects.toMatchObject({ code: 'no_role' });
    const country = of('CreateSecurityRule', rule({ kind: 'new_country' }));
    await expect(country).rejects.toMatchObject({
      code: 'invalid_request',
      faults: expect.arrayContaining([{ path: '/threshold', message: 'of new_country is 1' }]),
    });
    const made = await of('CreateSecurityRule', rule({ kind: 'delete_burst' }), platform);
    expect(made.company_id).toBeUndefined();
    await expect(of('GetSecurityRule', { id: made.id })).rejects.toMatchObject({ code: 'not_found' });
    const changed = await of('UpdateSecurityRule', { id: made.id, update_mask: { paths: ['threshold'] }, threshold: 9 }, platform);
    expect(changed).toMatchObject({ threshold: 9, emails: ['chefe@example.com', 'outra@example.com'] });
    expect((await of('ListSecurityRules', {}, platform)) as object).toMatchObject({ items: [{ id: made.id }] });
  });
});
