// What happens at the doors, over the running fleet: each refusal of the access rules, each failed login, ends as a record of the audit and in the
// list of security events, and none of them holds a secret.
import { randomUUID } from 'node:crypto';
import { until } from '@biz/testing';
import { describe, expect, it } from 'vitest';
import { type Answer, as, send, unique } from './client.ts';
import { currentRun } from './fleet.ts';

type Event = Answer['body'];

/** The event in the audit and in the list; found by the trace of the request that it came from. */
async function told(traceId: string, type: string): Promise<{ record: Event; listed: Event }> {
  const [record] = await items(`/v1/audit/records?trace_id=${traceId}`, ({ event_type }) => event_type.startsWith('security.'));
  const [listed] = await items(`/v1/security/events?page_size=200&event_type=${type}`, ({ trace_id }) => trace_id === traceId);
  return { record, listed };
}

const items = (path: string, wanted: (item: Event) => boolean, count = 1): Promise<Event[]> =>
  until(
    async () => {
      const { body } = await as('platform').get(path);
      const found = (body.items as Event[]).filter(wanted);
      return found.length >= count ? found : undefined;
    },
    { what: `${count} of ${path}`, timeoutMs: 120_000, intervalMs: 100 },
  );

const traceOf = (answer: Answer) => answer.headers.get('x-trace-id') ?? '';
const userId = async (name: string) => (await as(name).get('/v1/me')).body.id;

async function tokenRequest(form: Record<string, string>, path = 'token'): Promise<Record<string, string>> {
  const { keycloak_url, realm, client_id } = currentRun();
  const body = new URLSearchParams({ client_id, ...form });
  const response = await fetch(`${keycloak_url}/realms/${realm}/protocol/openid-connect/${path}`, { method: 'POST', body });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

describe('a refusal', () => {
  const body = { code: unique('CC'), name: 'Loja' };
  const cases: [string, string, () => Promise<Answer>, string | undefined, number][] = [
    ['no role', 'ACCESS_DENIED_NO_ROLE', () => as('user-a').post('/v1/cost-centers', body), 'user-a', 403],
    ['no company', 'ACCESS_DENIED_NO_EMPRESA', () => as('user-none').get('/v1/cost-centers'), 'user-none', 403],
    [
      ...(['another company', 'ACCESS_DENIED_WRONG_EMPRESA'] as const),
      () => as('admin-a').get('/v1/cost-centers', { 'x-company-id': '01890000-0000-7000-8000-000000000000' }),
      ...(['admin-a', 403] as const),
    ],
    [
      ...(['an id of another company', 'ACCESS_DENIED_WRONG_EMPRESA'] as const),
      async () => {
        const { id } = (await as('admin-a').post('/v1/cost-centers', { ...body, code: unique('CC') })).body;
        return as('admin-b').get(`/v1/cost-centers/${id}`);
      },
      ...(['admin-b', 404] as const),
    ],
    [
      ...(['a token that is none', 'TOKEN_INVALID'] as const),
      () => send('GET', '/v1/cost-centers?page_size=5', { headers: { authorization: 'Bearer eyJzZWNyZXQ.eyJzZWNyZXQ.c2VjcmV0' } }),
      ...([undefined, 401] as const),
    ],
  ];

  it.each(cases)('for %s is a record and a security event', async (_, type, request, who, status) => {
    const answer = await request();
    expect(answer.status).toBe(status);
    const { record, listed } = await told(traceOf(answer), type);
    const user_id = who && (await userId(who));
    const critical = type === 'ACCESS_DENIED_WRONG_EMPRESA';
    expect(record).toMatchObject({ producer_service: 'gateway_service', entity_type: 'security_event', action_type: 'new' });
    expect(record.ownership_id).toBe(user_id ?? 'anonymous');
    expect(listed).toMatchObject({
      ...{ event_id: record.event_id, event_type: type, severity: critical ? 'CRITICAL' : 'WARNING', success: false, count: 1 },
      ...{ resource: expect.stringMatching(/^\/v1\/cost-centers/), request_id: answer.headers.get('x-request-id') },
    });
    if (user_id) expect(listed.user_id).toBe(user_id);
    expect(listed.ip_address).toMatch(/^(127\.0\.0\.1|::1)$/);
    for (const text of [JSON.stringify(record), JSON.stringify(listed)]) expect(text).not.toMatch(/eyJ|Bearer|page_size/);
  });

  it('that comes in a flood is few events, and none is forgotten', async () => {
    const mine = await userId('user-b');
    const since = new Date().toISOString();
    const refused = await Promise.all(Array.from({ length: 60 }, () => as('user-b').post('/v1/users', {})));
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([403]));
    const filter = `user_id=${mine}&event_type=ACCESS_DENIED_NO_ROLE&from=${since}`;
    const folded = await until(
      async () => {
        const found: Event[] = (await as('platform').get(`/v1/security/events?${filter}`)).body.items;
        return found.reduce((sum, { count }) => sum + count, 0) === 60 ? found : undefined;
      },
      { what: 'all sixty', timeoutMs: 120_000 },
    );
    expect(folded.length).toBeLessThan(20);
  });
});

describe('what Keycloak tells', () => {
  const since = new Date(Date.now() - 1_000).toISOString();
  const events = (type: string, wanted: (event: Event) => boolean) =>
    items(`/v1/security/events?page_size=200&from=${since}&event_type=${type}`, wanted);

  it('a login, a failed one, a renewal and a logout are security events and records', async () => {
    const name = 'dpo-a';
    const user_id = await userId(name);
    const password = currentRun().users.find(({ username }) => username === name)?.password ?? '';
    const wrong = randomUUID();
    await tokenRequest({ grant_type: 'password', username: name, password: wrong });
    const { refresh_token = '' } = await tokenRequest({ grant_type: 'password', username: name, password });
    await tokenRequest({ grant_type: 'refresh_token', refresh_token });
    await tokenRequest({ refresh_token }, 'logout');
    const found: Event[] = [];
    for (const type of ['LOGIN_FAILED', 'LOGIN_SUCCESS', 'TOKEN_REFRESHED', 'LOGOUT']) {
      const [event] = await events(type, (event) => event.user_id === user_id);
      expect(event).toMatchObject({ user_email: 'dpo-a@example.com', success: type !== 'LOGIN_FAILED' });
      const { record } = await told(event.trace_id, type);
      expect(record).toMatchObject({
        producer_service: 'identity_service',
        event_type: `security.${type.toLowerCase()}`,
        ownership_id: user_id,
      });
      found.push(event, record);
    }
    const text = JSON.stringify(found);
    for (const secret of [wrong, refresh_token, `"${password}"`, 'eyJ']) expect(text).not.toContain(secret);
  });

  it('a login as nobody is told without the name that was tried', async () => {
    const username = `nobody-${randomUUID()}`;
    await tokenRequest({ grant_type: 'password', username, password: 'x' });
    const [event] = await events('LOGIN_FAILED', ({ error_message }) => error_message === 'user_not_found');
    expect(event.details.name_index ?? JSON.stringify(event.details)).toMatch(/[0-9a-f]{64}/);
    expect(JSON.stringify(event)).not.toContain(username);
  });
});

it('a read of personal data is a security event of whom it was opened to', async () => {
  const answer = await as('manager-a').get('/v1/client-contractors?page_size=1');
  expect(answer.status).toBe(200);
  const { listed } = await told(traceOf(answer), 'ACCESS_GRANTED');
  expect(listed).toMatchObject({ severity: 'INFO', success: true, resource: '/v1/client-contractors', user_id: await userId('manager-a') });
});
