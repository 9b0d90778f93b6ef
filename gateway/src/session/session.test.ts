// The gateway with sessions made here; the identity provider is the test's, so that it can misbehave.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readGatewayConfig } from '../config.ts';
import { type TestFleet, testFleet } from '../testing/index.ts';
import { createSealer } from './seal.ts';

const key = randomBytes(32);
const site = 'https://localhost:8443';
let tokenEndpoint: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => tokenEndpoint(request, response));
let fleet: TestFleet;

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  fleet = await testFleet({
    processes: ['cost-center'],
    env: {
      PUBLIC_URL: site,
      SESSION_KEY: key.toString('base64'),
      OIDC_CLIENT_SECRET: 's3cret',
      OIDC_BACKCHANNEL_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/realms/biz`,
      // what answers is in this process, and may be held up for a moment as it is
      OIDC_TOKEN_TIMEOUT_MS: '2000',
    },
  });
});
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => fleet.reset());

const seconds = () => Math.floor(Date.now() / 1000);

/** A session cookie whose access token ends in so many seconds. */
async function cookie(endsIn = 300, claims = {}): Promise<string> {
  const accessToken = await fleet.issuer.token({ exp: seconds() + endsIn, preferred_username: 'ana', ...claims });
  const times = {
    accessIssuedAt: seconds() + endsIn - 300,
    accessExpiresAt: seconds() + endsIn,
    startedAt: seconds(),
    sealedAt: seconds(),
  };
  const content = { id: 'session-1', accessToken, refreshToken: 'the-refresh-token', ...times };
  return `__Host-session=${await createSealer([key]).seal('session', content, seconds() + 1_800)}`;
}
const get = (path: string, headers: Record<string, string>) => fleet.gateway.send('GET', path, { headers });
const send = (status: number, text: string) => (_: IncomingMessage, response: ServerResponse) => {
  response.writeHead(status, { 'content-type': text.startsWith('{') ? 'application/json' : 'text/html' }).end(text);
};
const broken: [string, typeof tokenEndpoint][] = [
  ['a page', send(200, '<html>Starting</html>')],
  ['no tokens', send(200, '{}')],
  ['an error', send(500, 'x')],
  ['that this gateway is not known', send(401, '{"error":"invalid_client"}')],
  ['nothing', () => {}],
];

describe('while the identity provider answers a refresh with', () => {
  it.each(broken)('%s, a session goes on as long as its token, and nobody crashes', async (_, behaviour) => {
    tokenEndpoint = behaviour;
    const good = await get('/v1/me', { cookie: await cookie(30) });
    expect([good.status, good.json.username, good.headers.get('set-cookie')]).toEqual([200, 'ana', null]);
    const over = await get('/v1/me', { cookie: await cookie(-10) });
    expect([over.status, over.json.code, over.headers.get('set-cookie')]).toEqual([503, 'unavailable', null]);
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(fleet.gateway.lines.join('')).not.toMatch(/s3cret|the-refresh-token|eyJ/);
  });

  it('tokens that do not pass as bearer tokens, no session goes on with them', async () => {
    const access_token = await fleet.issuer.token({ aud: 'other' });
    tokenEndpoint = send(200, JSON.stringify({ access_token, refresh_token: 'r', token_type: 'Bearer', expires_in: 300 }));
    const answer = await get('/v1/me', { cookie: await cookie(-10) });
    expect([answer.status, answer.json.code]).toEqual([401, 'token_invalid']);
    expect(answer.headers.get('set-cookie')).toMatch(/^__Host-session=;/);
  });
});

describe('while the identity provider answers a login with', () => {
  /** A login begun in a browser of its own, as far as its callback. */
  async function callback(): Promise<[string, string]> {
    const begun = await fleet.gateway.send('GET', '/v1/auth/login', { redirect: 'manual' });
    const state = new URL(String(begun.headers.get('location'))).searchParams.get('state') ?? '';
    const query = new URLSearchParams({ state, code: 'the-code', iss: fleet.issuer.issuer });
    return [`/v1/auth/callback?${query}`, String(begun.headers.get('set-cookie')).split(';')[0] ?? ''];
  }

  it.each(broken.filter(([name]) => name !== 'no tokens'))('%s, the person is told to try again, and can', async (_, behaviour) => {
    tokenEndpoint = behaviour;
    const [path, login] = await callback();
    const answer = await get(path, { cookie: login });
    expect([answer.status, answer.json.code, answer.headers.get('set-cookie')]).toEqual([503, 'unavailable', null]);
    tokenEndpoint = send(400, '{"error":"invalid_grant"}');
    const told = await get(path, { cookie: login });
    expect([told.status, told.json.code]).toEqual([400, 'login_failed']);
    expect(fleet.gateway.lines.join('')).not.toMatch(/s3cret|the-code|eyJ/);
  });

  it.each([
    ['another nonce', { nonce: 'other' }],
    ['an ID token of another client', { aud: 'other-client' }],
    ['an ID token of another issuer', { iss: 'https://evil.example' }],
  ])('%s, it opens no session', async (_, claims) => {
    const id_token = await fleet.issuer.token({ typ: 'ID', aud: 'biz-gateway', azp: 'biz-gateway', ...claims });
    const tokens = { access_token: await fleet.issuer.token(), id_token, refresh_token: 'r', token_type: 'Bearer' };
    tokenEndpoint = send(200, JSON.stringify(tokens));
    const [path, login] = await callback();
    const answer = await get(path, { cookie: login });
    expect([answer.status, answer.json.code]).toEqual([400, 'login_failed']);
    expect(answer.headers.get('set-cookie')).not.toContain('__Host-session');
  });

  it('an ID token that is signed by somebody else, it opens no session; with the right one it does', async () => {
    const begun = await fleet.gateway.send('GET', '/v1/auth/login', { redirect: 'manual' });
    const asked = new URL(String(begun.headers.get('location'))).searchParams;
    const id_token = await fleet.issuer.token({ typ: 'ID', aud: 'biz-gateway', azp: 'biz-gateway', nonce: asked.get('nonce') });
    const tokens = { access_token: await fleet.issuer.token(), id_token, refresh_token: 'r', token_type: 'Bearer' };
    const query = new URLSearchParams({ state: asked.get('state') ?? '', code: 'the-code', iss: fleet.issuer.issuer });
    const finish = () => get(`/v1/auth/callback?${query}`, { cookie: String(begun.headers.get('set-cookie')).split(';')[0] ?? '' });
    const [head, body] = id_token.split('.');
    tokenEndpoint = send(200, JSON.stringify({ ...tokens, id_token: `${head}.${body}.${'A'.repeat(342)}` }));
    expect((await finish()).json.code).toBe('token_invalid');
    tokenEndpoint = send(200, JSON.stringify(tokens));
    const done = await fleet.gateway.send('GET', `/v1/auth/callback?${query}`, {
      redirect: 'manual',
      headers: { cookie: String(begun.headers.get('set-cookie')).split(';')[0] ?? '' },
    });
    expect([done.status, done.headers.get('location')]).toEqual([303, '/v1/me']);
    expect(done.headers.get('set-cookie')).toContain('__Host-session=');
  });
});

describe('a logout', () => {
  const out = { 'sec-fetch-site': 'same-origin', 'x-csrf': '1' };

  it('is told when the identity provider is away, and the browser is logged out all the same', async () => {
    tokenEndpoint = send(500, '');
    const session = await cookie();
    const answer = await fleet.gateway.send('POST', '/v1/auth/logout', { headers: { ...out, cookie: session } });
    expect([answer.status, answer.json.code]).toEqual([503, 'unavailable']);
    expect(answer.headers.get('set-cookie')).toMatch(/^__Host-session=;/);
    expect((await get('/v1/me', { cookie: session })).json.code).toBe('token_expired');
  });
});

describe('without a session', () => {
  it('a cookie that is no session is a token that is not valid, and none is a token that is missing', async () => {
    expect((await get('/v1/me', { cookie: '__Host-session=x' })).json.code).toBe('token_invalid');
    expect((await get('/v1/me', { cookie: '__Host-session.1=x' })).json.code).toBe('token_missing');
    expect((await get('/v1/me', {})).json.code).toBe('token_missing');
  });

  it('who the caller is has the chosen company', async () => {
    const claims = { companies: ['a', 'b'], clients: 'c', preferred_username: undefined };
    const of = async (headers: Record<string, string>) => (await fleet.gateway.as(claims, 'GET', '/v1/me', { headers })).json;
    expect(await of({})).toMatchObject({ username: null, companies: ['a', 'b'], clients: ['c'], company_id: null, session: null });
    expect(await of({ 'x-company-id': 'b' })).toMatchObject({ company_id: 'b' });
    expect(await of({ 'x-company-id': 'x' })).toMatchObject({ code: 'wrong_company' });
  });
});

describe('the settings', () => {
  const base = { TLS_CA_FILE: 'x', TLS_CERT_FILE: 'x', TLS_KEY_FILE: 'x', OIDC_ISSUER: site, OIDC_JWKS_URL: site };
  const read = (env: Record<string, string>) => readGatewayConfig({ ...base, ...env });

  it('of logins are there together or not at all', () => {
    expect(read({}).SESSION_KEY).toBeUndefined();
    const all = { SESSION_KEY: key.toString('base64'), OIDC_CLIENT_SECRET: 'x', PUBLIC_URL: site };
    expect(read(all).SESSION_KEY).toEqual([key]);
    for (const name of Object.keys(all)) {
      if (name === 'PUBLIC_URL') expect(() => read({ ...all, PUBLIC_URL: '' })).toThrow(/together/);
      else expect(() => read({ ...all, [name]: '' })).toThrow(/together/);
    }
  });

  it('take keys of 32 bytes only, and do not repeat them in an error', () => {
    const two = [randomBytes(32), randomBytes(32)];
    const text = two.map((one) => one.toString('base64')).join('\n');
    expect(read({ SESSION_KEY: text, OIDC_CLIENT_SECRET: 'x', PUBLIC_URL: site }).SESSION_KEY).toEqual(two);
    for (const bad of ['c2hvcnQ=', `${text},c2hvcnQ=`, ',']) {
      expect(() => read({ SESSION_KEY: bad, OIDC_CLIENT_SECRET: 'x', PUBLIC_URL: site })).toThrow(/^(?!.*c2hvcnQ).*SESSION_KEY/s);
    }
  });
});
