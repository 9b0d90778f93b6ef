// People log in at a real Keycloak, by its own form, through real gateways.
import { until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TestGateway } from '../testing/index.ts';
import { createSealer } from './seal.ts';
import { type LoginFleet, logIn, loginFleet, me, newKey, ofOurs, sessionCookies, site } from './testing.ts';

let fleet: LoginFleet;
let gateway: TestGateway;

beforeAll(async () => {
  fleet = await loginFleet();
  gateway = await fleet.gateway();
});
afterAll(() => fleet?.[Symbol.asyncDispose]());
beforeEach(() => fleet.realm.admin('PUT', '', { accessTokenLifespan: 300, revokeRefreshToken: false }));

/** Access tokens that are renewed at once: half of their life is gone within a second or two. */
const shortTokens = (more: object = {}) => fleet.realm.admin('PUT', '', { accessTokenLifespan: 3, ...more });
const sessionsOf = async (username: string) =>
  fleet.realm.admin<{ id: string }[]>('GET', `/users/${await fleet.realm.userId(username)}/sessions`);
const events = async (type: string) => (await fleet.realm.admin<object[]>('GET', `/events?type=${type}&max=1000`)).length;
const codeOf = (page: { status: number; text: string }) => [page.status, JSON.parse(page.text).code];

/** A browser in which a user is logged in. */
async function loggedIn(username: string) {
  const browser = fleet.browser(gateway);
  expect((await logIn(browser, username)).status).toBe(200);
  return browser;
}

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
    const [attacker, victim] = [await loggedIn('user-b'), fleet.browser(gateway)];
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
    const cookie = Object.entries(await sessionCookies(victim))
      .map((pair) => pair.join('='))
      .join('; ');
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
    const browser = await loggedIn('manager-a');
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

describe('a request by session', () => {
  it('is taken wherever a bearer token is, and a change needs proof that it comes from our pages', async () => {
    const browser = await loggedIn('admin-a');
    const { id } = (await me(browser)).body;
    expect((await browser.send('GET', `${site}/v1/cost-centers`)).status).toBe(200);
    expect(fleet.services.received.at(-1)?.call.context.actor).toEqual({ id, type: 'user' });
    const create = (headers: Record<string, string>) =>
      browser.send('POST', `${site}/v1/cost-centers`, {
        headers: { 'content-type': 'application/json', ...headers },
        body: '{"code":"A","name":"B"}',
      });
    expect((await create(ofOurs)).status).toBe(201);
    const calls = fleet.services.received.length;
    for (const headers of [
      {},
      { 'x-csrf': '1' },
      { ...ofOurs, 'x-csrf': '' },
      { ...ofOurs, 'sec-fetch-site': 'same-site' },
      { ...ofOurs, 'sec-fetch-site': 'cross-site' },
      { ...ofOurs, origin: 'https://evil.example' },
      { origin: 'null', 'x-csrf': '1' },
    ]) {
      expect([headers, codeOf(await create(headers))]).toEqual([headers, [403, 'cross_site_request']]);
      const out = await browser.send('POST', `${site}/v1/auth/logout`, { headers });
      expect([headers, codeOf(out)]).toEqual([headers, [403, 'cross_site_request']]);
    }
    expect(fleet.services.received).toHaveLength(calls);
    expect(gateway.refusals.at(-1)).toMatchObject({ code: 'cross_site_request' });
    expect((await create({ origin: site, 'x-csrf': '1' })).status).toBe(201); // a browser without Fetch Metadata
    expect((await me(browser)).status).toBe(200); // and nobody was logged out
  });

  it('with a bearer token beside it is the token’s', async () => {
    const browser = await loggedIn('admin-a');
    const authorization = `Bearer ${await fleet.realm.token('user-b')}`;
    expect((await me(browser, { authorization })).body).toMatchObject({ username: 'user-b', session: null });
    expect(codeOf(await me(browser, { authorization: 'Bearer abc' }))).toEqual([401, 'token_invalid']);
    expect((await me(browser)).body.username).toBe('admin-a');
  });

  it('that somebody tampered with is refused, and the cookie taken away', async () => {
    const browser = await loggedIn('admin-a');
    const [[name, value] = ['', '']] = Object.entries(await sessionCookies(browser));
    const login = (await browser.open(`${site}/v1/auth/login`, fleet.realm.issuer)).headers['set-cookie'];
    const other = /__Host-login-[^=]+=([^;]+)/.exec(String(login))?.[1];
    const turned = (at: number) => value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1);
    for (const text of [turned(value.length - 30), turned(value.indexOf('..') + 4), 'abc', 'a.b.c.d.e', String(other)]) {
      const thief = fleet.browser(gateway);
      await thief.jar.setCookie(`${name}=${text}; Path=/; Secure`, `${site}/`);
      expect(codeOf(await me(thief))).toEqual([401, 'token_invalid']);
      expect(await sessionCookies(thief)).toEqual({});
    }
  });

  it('is served by every gateway that has the key, while keys rotate too', async () => {
    const browser = await loggedIn('admin-a');
    const next = newKey();
    const [added, moved, gone] = [
      await fleet.gateway({ SESSION_KEY: `${fleet.key}\n${next}` }),
      await fleet.gateway({ SESSION_KEY: `${next}\n${fleet.key}` }),
      await fleet.gateway({ SESSION_KEY: next }),
    ];
    for (const instance of [gateway, added, moved]) {
      browser.turnTo(instance);
      expect((await me(browser)).status).toBe(200);
    }
    browser.turnTo(moved);
    await browser.open(`${site}/v1/auth/login`);
    browser.turnTo(gone);
    expect((await me(browser)).status).toBe(200);
    browser.turnTo(gateway); // has not heard of the new key
    expect(codeOf(await me(browser))).toEqual([401, 'token_invalid']);
  });
});

describe('renewal', () => {
  it('comes before the token ends, once for all requests at the same moment, and is not seen', async () => {
    await shortTokens();
    const browser = await loggedIn('admin-a');
    const before = await sessionCookies(browser);
    await until(
      async () => {
        expect((await me(browser)).status).toBe(200);
        return JSON.stringify(await sessionCookies(browser)) !== JSON.stringify(before);
      },
      { what: 'the session to be renewed' },
    );
    expect((await me(browser)).body.username).toBe('admin-a');

    const idle = await loggedIn('user-b');
    const begun = await events('REFRESH_TOKEN');
    const [copies, old] = [await Promise.all(Array.from({ length: 10 }, () => idle.jar.clone())), await sessionCookies(idle)];
    const header = copies.map(() =>
      Object.entries(old)
        .map((pair) => pair.join('='))
        .join('; '),
    );
    const ask = () => Promise.all(header.map((cookie) => gateway.send('GET', '/v1/me', { headers: { cookie } })));
    await until(
      async () => {
        const answers = await ask();
        expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
        return answers.some((answer) => answer.headers.get('set-cookie') !== null);
      },
      { what: 'one of ten requests to bring a renewed session' },
    );
    expect(await events('REFRESH_TOKEN')).toBe(begun + 1);
  });

  it('works where a refresh token can be used once: what the browser had before is good for a while, at a second gateway as long as its token', async () => {
    await shortTokens({ revokeRefreshToken: true, refreshTokenMaxReuse: 0 });
    const browser = await loggedIn('admin-a');
    const old = Object.entries(await sessionCookies(browser))
      .map((pair) => pair.join('='))
      .join('; ');
    await until(async () => (await me(browser)).headers['set-cookie'] !== undefined, { what: 'the session to be renewed' });
    const late = await gateway.send('GET', '/v1/me', { headers: { cookie: old } });
    expect([late.status, late.json.username]).toEqual([200, 'admin-a']);
    const renewed = await sessionCookies(browser);
    await until(
      async () => {
        expect((await me(browser)).status).toBe(200);
        return JSON.stringify(await sessionCookies(browser)) !== JSON.stringify(renewed);
      },
      { what: 'a second renewal' },
    );
    const other = await fleet.gateway();
    await until(async () => (await other.send('GET', '/v1/me', { headers: { cookie: old } })).status === 401, {
      what: 'the second gateway to be refused with a refresh token that was used',
    });
  });

  it('that Keycloak refuses ends the session: an administrator ended it', async () => {
    await shortTokens();
    const browser = await loggedIn('dpo-a');
    await fleet.realm.admin('POST', `/users/${await fleet.realm.userId('dpo-a')}/logout`);
    await until(async () => (await me(browser)).status === 401, { what: 'the session to end' });
    expect(await sessionCookies(browser)).toEqual({});
    expect(codeOf(await me(browser))).toEqual([401, 'token_missing']);
  });

  it('that Keycloak refuses ends the session: the person was disabled', async () => {
    await shortTokens();
    const browser = await loggedIn('auditor-a');
    const id = await fleet.realm.userId('auditor-a');
    await fleet.realm.admin('PUT', `/users/${id}`, { ...(await fleet.realm.admin<object>('GET', `/users/${id}`)), enabled: false });
    let last = await me(browser);
    await until(
      async () => {
        last = await me(browser);
        return last.status === 401;
      },
      { what: 'the session to end' },
    );
    expect(last.body.code).toBe('token_expired');
  });
});

describe('logout', () => {
  it('ends the session here, in Keycloak, and for whoever has a copy of the cookie', async () => {
    await shortTokens();
    const browser = await loggedIn('user-a');
    expect(await sessionsOf('user-a')).toHaveLength(1);
    const copy = Object.entries(await sessionCookies(browser))
      .map((pair) => pair.join('='))
      .join('; ');
    const other = await fleet.gateway();
    const answer = await browser.send('POST', `${site}/v1/auth/logout`, { headers: ofOurs });
    expect([answer.status, answer.headers['cache-control']]).toEqual([204, 'no-store']);
    expect(await sessionsOf('user-a')).toEqual([]);
    expect(await sessionCookies(browser)).toEqual({});
    expect(codeOf(await me(browser))).toEqual([401, 'token_missing']);
    const send = (at: TestGateway) => at.send('GET', '/v1/me', { headers: { cookie: copy } });
    expect((await send(gateway)).json.code).toBe('token_expired');
    await until(async () => (await send(other)).status === 401, { what: 'the other gateway to be refused by Keycloak' });
    expect((await browser.open(`${site}/v1/auth/login`)).text).toContain('<form'); // no silent login by Keycloak's own cookies
    expect((await browser.send('POST', `${site}/v1/auth/logout`, { headers: ofOurs })).status).toBe(204);
  });

  it('works after a renewal, where a refresh token can be used once', async () => {
    await shortTokens({ revokeRefreshToken: true, refreshTokenMaxReuse: 0 });
    const browser = await loggedIn('user-a');
    const old = await sessionCookies(browser);
    await until(async () => (await me(browser)).headers['set-cookie'] !== undefined, { what: 'the session to be renewed' });
    const cookie = Object.entries(old)
      .map((pair) => pair.join('='))
      .join('; ');
    expect((await gateway.send('POST', '/v1/auth/logout', { headers: { ...ofOurs, cookie } })).status).toBe(204);
    expect(await sessionsOf('user-a')).toEqual([]);
  });
});

describe('what is written down', () => {
  it('holds no token, code, cookie or secret', async () => {
    const browser = await loggedIn('admin-a');
    const sealed = Object.values(await sessionCookies(browser)).join('');
    const content = await createSealer([Buffer.from(fleet.key, 'base64')]).open('session', sealed);
    const lines = gateway.lines.join('\n');
    expect(lines).toContain('/v1/auth/callback');
    for (const secret of [content.accessToken, content.refreshToken, sealed.slice(0, 200), fleet.realm.clientSecret, fleet.key]) {
      expect(lines).not.toContain(String(secret));
    }
    expect(lines).not.toMatch(/eyJ|code=|state=|__Host-/);
  });
});
