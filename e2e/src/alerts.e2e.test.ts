// Somebody tries passwords: five failed logins at Keycloak are one alert, one e-mail and one webhook, and a person answers for it.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '@biz/testing';
import { Webhook } from 'standardwebhooks';
import { fetch } from 'undici';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Answer, as, auditHistory, unique } from './client.ts';
import { currentRun } from './fleet.ts';
import { keycloakUser } from './keycloak.ts';

type Alert = Answer['body'];

const emails = 'seguranca@example.com';

/** Subjects and texts of the mails to an address that tell of an alert. */
async function mailsOf(alertId: string, address = emails): Promise<{ subject: string; text: string }[]> {
  const answer = await fetch(`${currentRun().mail_url}/email`);
  const mails = (await answer.json()) as { to: { address: string }[]; subject: string; text: string }[];
  return mails.filter(({ to, text }) => to.some((one) => one.address === address) && text.includes(alertId));
}

/** Somebody new, whom Keycloak knows. */
async function newPerson(): Promise<{ id: string; username: string; email: string }> {
  const username = unique('alvo');
  const email = `${username}@example.com`;
  const created = await as('admin-a').post('/v1/users', { username, email, name: 'Alvo' });
  expect(created.status, created.text).toBe(201);
  await until(() => keycloakUser(username), { timeoutMs: 60_000, what: `${username} in Keycloak` });
  return { id: created.body.id, username, email };
}

async function failLogin(username: string): Promise<void> {
  const { keycloak_url, realm, client_id } = currentRun();
  const body = new URLSearchParams({ grant_type: 'password', client_id, username, password: randomUUID() });
  const answer = await fetch(`${keycloak_url}/realms/${realm}/protocol/openid-connect/token`, { method: 'POST', body });
  expect(answer.status).toBe(401);
}

const alertsOf = async (userId: string, who = 'admin-a'): Promise<Alert[]> => {
  const items: Alert[] = [];
  for (let token = ''; ; ) {
    const { body } = await as(who).get(`/v1/security/alerts?page_size=200&page_token=${encodeURIComponent(token)}`);
    items.push(...body.items);
    token = body.next_page_token;
    if (!token) return items.filter(({ user_id }) => user_id === userId);
  }
};
const alertOf = (userId: string): Promise<Alert> =>
  until(async () => (await alertsOf(userId))[0], { timeoutMs: 120_000, intervalMs: 50, what: 'the alert' });

describe('five failed logins', () => {
  it('are one alert and one e-mail, which an administrator answers', async () => {
    const target = await newPerson();
    for (let n = 0; n < 5; n += 1) await failLogin(target.username);
    const failed = performance.now();
    const alert = await alertOf(target.id);
    const listed = performance.now();
    await until(async () => (await mailsOf(alert.id)).length > 0, { timeoutMs: 60_000, intervalMs: 20, what: 'the e-mail' });
    const mailed = performance.now();
    console.log(`fifth failed login to alert ${Math.round(listed - failed)} ms, to e-mail ${Math.round(mailed - failed)} ms`);
    expect(alert).toMatchObject({ kind: 'failed_logins', group_by: 'user', severity: 'WARNING', status: 'open', threshold: 5 });
    expect(alert.count).toBeGreaterThanOrEqual(5);

    // the burst goes on: nothing more is told, as a later alert shows
    for (let n = 0; n < 5; n += 1) await failLogin(target.username);
    const later = await newPerson();
    for (let n = 0; n < 5; n += 1) await failLogin(later.username);
    const { id } = await alertOf(later.id);
    await until(async () => (await mailsOf(id)).length > 0, { timeoutMs: 60_000, what: 'the later e-mail' });
    expect(await alertsOf(target.id)).toHaveLength(1);
    const [mail, ...more] = await mailsOf(alert.id);
    expect(more).toEqual([]);
    expect(mail?.subject).toContain('Alerta de segurança');
    expect(`${mail?.subject}${mail?.text}`).not.toContain(target.username);

    expect((await as('admin-b').get(`/v1/security/alerts/${alert.id}`)).status).toBe(404);
    const path = `/v1/security/alerts/${alert.id}/acknowledge`;
    expect((await as('admin-b').post(path, { note: 'x' })).status).toBe(404);
    expect((await as('user-a').post(path, { note: 'x' })).status).toBe(403);
    const answered = await as('admin-a').post(path, { note: 'Senha esquecida.' });
    expect(answered.status, answered.text).toBe(200);
    expect(answered.body).toMatchObject({ status: 'acknowledged', note: 'Senha esquecida.' });
    expect(answered.body.answered_after_seconds).toBeGreaterThanOrEqual(0);
    expect((await as('admin-a').post(path, {})).status).toBe(409);
    const history = await auditHistory('security_alert', alert.id, 2);
    expect(history.map(({ event_type }) => event_type)).toEqual(['security_alert.opened', 'security_alert.acknowledged']);
  });
});

describe('a rule of a company', () => {
  const hooks: { headers: IncomingHttpHeaders; body: string }[] = [];
  const receiver = createServer(async (request, answer) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    hooks.push({ headers: request.headers, body });
    answer.writeHead(204).end();
  });
  afterAll(() => void receiver.close());

  it('names who is told, by e-mail and by a webhook that proves where it comes from', async () => {
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const webhook_url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/alertas`;
    const address = `${unique('chefe')}@example.com`;
    // all that is asked below is one burst, and so one alert: one more would have a webhook that comes when the receiver is gone
    const rule = await as('admin-b').post('/v1/security/rules', {
      ...{ name: 'Outra empresa', kind: 'cross_tenant', threshold: 1, window_seconds: 600, group_by: 'user', severity: 'CRITICAL' },
      ...{ emails: [address], webhook_url },
    });
    expect(rule.status, rule.text).toBe(201);
    onTestFinished(async () => {
      expect((await as('admin-b').delete(`/v1/security/rules/${rule.body.id}`)).status).toBe(204);
    });
    const since = Date.now();
    const center = (await as('admin-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja' })).body;
    const me = (await as('admin-b').get('/v1/me')).body.id;
    const alert = await until(
      async () => {
        // again until the rule holds everywhere
        expect((await as('admin-b').get(`/v1/cost-centers/${center.id}`)).status).toBe(404);
        return (await alertsOf(me, 'admin-b')).find(
          ({ rule_id, created_at }) => rule_id === rule.body.id && Date.parse(created_at) >= since,
        );
      },
      { timeoutMs: 120_000, intervalMs: 1_500, what: 'the alert of the rule' },
    );
    await until(async () => (await mailsOf(alert.id, address)).length > 0, { timeoutMs: 60_000, what: 'the e-mail' });
    const { body, headers } = await until(() => hooks.find((hook) => hook.body.includes(alert.id)), {
      timeoutMs: 60_000,
      what: 'the webhook',
    });
    const { secret } = (await as('admin-b').post('/v1/webhooks/secret', { to: webhook_url })).body;
    expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({
      type: 'security_alert',
      data: { rule: 'Outra empresa', alert_id: alert.id, severity: 'CRITICAL' },
    });
    const foreign = (await as('admin-a').post('/v1/webhooks/secret', { to: webhook_url })).body.secret;
    expect(() => new Webhook(foreign).verify(body, headers as Record<string, string>)).toThrow();
  });
});
