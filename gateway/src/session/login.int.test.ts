// People log in at a real Keycloak, by its own form, through a real gateway.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestGateway } from '../testing/index.ts';
import { createSealer } from './seal.ts';
import { codeOf, cookieHeader, type LoginFleet, loggedIn, logIn, loginFleet, me, ofOurs, sessionCookies, site } from './testing.ts';

let fleet: LoginFleet;
let gateway: TestGateway;

beforeAll(async () => {
  fleet = await loginFleet();
  gateway = await fleet.gateway();
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

describe('a login', () => {
  it('leads to Keycloak with PKCE, state and nonce, and back to where it was begun, as that person', async () => {
    const browser = fleet.browser(gateway);
    const begun = await browser.open(`${site}/v1/auth/login?return_to=/v1/me`, fleet.realm.issuer);
    expect([begun.status, begun.headers['cache-control']]).toEqual([302, 'no-store']);
    const { searchParams } = new URL(String(begun.headers.location));
    expect(Object.fromEntries(searchParams)).toEqual({
      client_id: 'biz-gateway',
      response_type: 'code',
      redirect_uri: `${site}/v1/auth/callback`,
      scope: 'openid',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    });
    const answer = await logIn(browser, 'admin-a');
    expect([answer.url, answer.status, answer.headers['cache-control']]).toEqual([`${site}/v1/me`, 200, 'no-store']);
    const { body } = await me(browser);
    expect(body).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      username: 'admin-a',
      roles: ['admin'],
      companies: [body.company_id],
      clients: [],
      company_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      session: { expires_at: expect.stringMatching(/^\d{4}-.*Z$/) },
    });
    const expires = Date.parse(body.session.expires_at) - Date.now();
    expect(expires).toBeGreaterThan(60_000);
    expect(expires).toBeLessThanOrEqual(1_800_000);
    const bearer = await gateway.send('GET', '/v1/me', { headers: { authorization: `Bearer ${await fleet.realm.token('admin-a')}` } });
    expect(bearer.json).toEqual({ ...body, session: null });
  });

  it('gives cookies that scripts, other hosts, plain HTTP and other sites’ forms do not get', async () => {
    const browser = fleet.browser(gateway);
    const form = await browser.open(`${site}/v1/auth/login?return_to=/docs`);
    const callback = await browser.submit(form, { username: 'admin-a', password: 'admin-a' }, `${site}/v1/auth/callback`);
    const answer = await browser.send('GET', String(callback.headers.location));
    expect([answer.status, answer.headers.location]).toEqual([303, '/docs']);
    const set = [answer.headers['set-cookie']].flat().map(String);
    const session = set.filter((line) => line.startsWith('__Host-session'));
    expect(session.length).toBeGreaterThan(0);
    for (const line of session) {
      expect(line.split('; ').slice(1).sort()).toEqual(['HttpOnly', 'Path=/', 'SameSite=Lax', 'Secure']);
      expect(line.length).toBeLessThanOrEqual(4_096);
    }
    expect(set.filter((line) => line.startsWith('__Host-login-'))).toEqual([expect.stringMatching(/Max-Age=0|Expires=Thu, 01 Jan 1970/)]);
  });

  it('is a new session each time, whatever session the browser brought', async () => {
    const [attacker, victim] = [await loggedIn(fleet, gateway, 'user-b'), fleet.browser(gateway)];
    for (const [name, value] of Object.entries(await sessionCookies(attacker))) {
      await victim.jar.setCookie(`${name}=${value}; Path=/; Secure; HttpOnly`, `${site}/`);
    }
    expect((await me(victim)).body.username).toBe('user-b');
    await logIn(victim, 'admin-a');
    expect((await me(victim)).body.username).toBe('admin-a');
    const opener = createSealer([Buffer.from(fleet.key, 'base64')]);
    const idOf = async (browser: typeof victim) => {
      const { id } = await opener.open('session', Object.values(await sessionCookies(browser)).join(''));
      return id;
    };
    const first = await idOf(victim);
    const cookie = cookieHeader(await sessionCookies(victim));
    expect((await victim.open(`${site}/v1/auth/login`)).url).toBe(`${site}/v1/me`); // Keycloak knows them still: no form to fill in
    expect((await gateway.send('GET', '/v1/me', { headers: { cookie } })).json.code).toBe('token_expired');
    const ids = [await idOf(attacker), first, await idOf(victim)];
    expect(new Set(ids).size).toBe(3);
  });

  it('may be open in several tabs at once', async () => {
    const browser = fleet.browser(gateway);
    const one = await browser.open(`${site}/v1/auth/login?return_to=/v1/me`);
    await browser.open(`${site}/v1/auth/login?return_to=/docs`);
    expect((await browser.submit(one, { username: 'admin-a', password: 'admin-a' })).url).toBe(`${site}/v1/me`);
  });

  it('of a person with dozens of companies works, in as many cookies as it takes', async () => {
    const id = await fleet.realm.userId('manager-a');
    const user = await fleet.realm.admin<{ attributes: Record<string, string[]> }>('GET', `/users/${id}`);
    const companies = Array.from({ length: 80 }, (_, index) => `01890000-0000-7000-8000-0000000000${index.toString().padStart(2, '0')}`);
    await fleet.realm.admin('PUT', `/users/${id}`, { ...user, attributes: { ...user.attributes, companies } });
    const browser = await loggedIn(fleet, gateway, 'manager-a');
    expect(Object.keys(await sessionCookies(browser)).length).toBeGreaterThan(1);
    expect((await me(browser)).body.companies).toHaveLength(80);
    expect((await browser.send('POST', `${site}/v1/auth/logout`, { headers: ofOurs })).status).toBe(204);
    expect(await sessionCookies(browser)).toEqual({});
  });
});

describe('a login that fails', () => {
  /** The address that Keycloak sends a browser back to after its form. */
  async function callbackOf(browser: Awaited<ReturnType<typeof loggedIn>>): Promise<string> {
    const form = await browser.open(`${site}/v1/auth/login`);
    const page = await browser.submit(form, { username: 'admin-a', password: 'admin-a' }, `${site}/v1/auth/callback`);
    return String(page.headers.location);
  }

  it('in another browser than it was begun in opens no session there', async () => {
    const callback = await callbackOf(fleet.browser(gateway));
    const victim = fleet.browser(gateway);
    const answer = await victim.send('GET', callback);
    expect(codeOf(answer)).toEqual([400, 'login_failed']);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    await victim.open(`${site}/v1/auth/login`); // a login of its own does not help
    expect(codeOf(await victim.send('GET', callback))).toEqual([400, 'login_failed']);
    expect(await sessionCookies(victim)).toEqual({});
  });

  it('by a code that was used is told, also with the cookie of the first time', async () => {
    const browser = fleet.browser(gateway);
    const callback = await callbackOf(browser);
    const before = await browser.cookies(`${site}/`);
    expect((await browser.send('GET', callback)).status).toBe(303);
    expect(codeOf(await browser.send('GET', callback))).toEqual([400, 'login_failed']);
    const thief = fleet.browser(gateway);
    for (const [name, value] of Object.entries(before)) await thief.jar.setCookie(`${name}=${value}; Path=/; Secure`, `${site}/`);
    const replayed = await thief.send('GET', callback);
    expect(codeOf(replayed)).toEqual([400, 'login_failed']);
    expect(replayed.text).toContain('used already');
  });

  it('because the person was refused, the issuer is another, the state is changed or the code is none', async () => {
    const browser = fleet.browser(gateway);
    const begun = await browser.open(`${site}/v1/auth/login`, fleet.realm.issuer);
    const state = String(new URL(String(begun.headers.location)).searchParams.get('state'));
    const back = async (query: Record<string, string>) => {
      const jar = await browser.jar.clone();
      const answer = await browser.send('GET', `${site}/v1/auth/callback?${new URLSearchParams(query)}`);
      for (const cookie of await jar.getCookies(`${site}/`)) await browser.jar.setCookie(cookie, `${site}/`);
      return answer;
    };
    const iss = fleet.realm.issuer;
    const denied = await back({ error: 'access_denied', error_description: 'no', state, iss });
    expect([codeOf(denied), JSON.parse(denied.text).detail]).toEqual([[400, 'login_failed'], expect.stringContaining('access_denied')]);
    for (const query of [
      { code: 'x', state, iss: 'https://evil.example/realms/biz' },
      { code: 'x', state },
      { code: 'x', state: `${state}x`, iss },
      { code: 'x', state: `${state.slice(0, -1)}!`, iss },
      { code: 'x', iss },
      { code: 'x', state, iss },
      { error: '"><script>', state, iss },
    ]) {
      const answer = await back(query);
      expect([query, codeOf(answer)]).toEqual([query, [400, 'login_failed']]);
      expect(answer.text).not.toMatch(/script|evil/);
    }
    expect(await sessionCookies(browser)).toEqual({});
  });

  it.each(['https://evil.example/', '//evil.example', '/\\evil.example', '/.//evil.example', '/\t/evil.example', 'javascript:alert(1)'])(
    'by an address elsewhere begins none: %j',
    async (address) => {
      const answer = await fleet.browser(gateway).send('GET', `${site}/v1/auth/login?return_to=${encodeURIComponent(address)}`);
      expect([codeOf(answer), answer.headers.location, answer.headers['set-cookie']]).toEqual([
        [400, 'invalid_request'],
        undefined,
        undefined,
      ]);
    },
  );
});
