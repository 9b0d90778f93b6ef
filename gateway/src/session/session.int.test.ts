// People who are logged in by a real Keycloak use real gateways, for as long as it lets them.
import { until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TestGateway } from '../testing/index.ts';
import { createSealer } from './seal.ts';
import { codeOf, cookieHeader, type LoginFleet, loggedIn, loginFleet, me, newKey, ofOurs, sessionCookies, site } from './testing.ts';

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

describe('a request by session', () => {
  it('is taken wherever a bearer token is, and a change needs proof that it comes from our pages', async () => {
    const browser = await loggedIn(fleet, gateway, 'admin-a');
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
    const browser = await loggedIn(fleet, gateway, 'admin-a');
    const authorization = `Bearer ${await fleet.realm.token('user-b')}`;
    expect((await me(browser, { authorization })).body).toMatchObject({ username: 'user-b', session: null });
    expect(codeOf(await me(browser, { authorization: 'Bearer abc' }))).toEqual([401, 'token_invalid']);
    expect((await me(browser)).body.username).toBe('admin-a');
  });

  it('that somebody tampered with is refused, and the cookie taken away', async () => {
    const browser = await loggedIn(fleet, gateway, 'admin-a');
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
    const browser = await loggedIn(fleet, gateway, 'admin-a');
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
    const browser = await loggedIn(fleet, gateway, 'admin-a');
    const before = await sessionCookies(browser);
    await until(
      async () => {
        expect((await me(browser)).status).toBe(200);
        return JSON.stringify(await sessionCookies(browser)) !== JSON.stringify(before);
      },
      { what: 'the session to be renewed' },
    );
    expect((await me(browser)).body.username).toBe('admin-a');

    const idle = await loggedIn(fleet, gateway, 'user-b');
    const begun = await events('REFRESH_TOKEN');
    const [copies, old] = [await Promise.all(Array.from({ length: 10 }, () => idle.jar.clone())), await sessionCookies(idle)];
    const header = copies.map(() => cookieHeader(old));
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
    const browser = await loggedIn(fleet, gateway, 'admin-a');
    const old = cookieHeader(await sessionCookies(browser));
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
    const browser = await loggedIn(fleet, gateway, 'dpo-a');
    await fleet.realm.admin('POST', `/users/${await fleet.realm.userId('dpo-a')}/logout`);
    await until(async () => (await me(browser)).status === 401, { what: 'the session to end' });
    expect(await sessionCookies(browser)).toEqual({});
    expect(codeOf(await me(browser))).toEqual([401, 'token_missing']);
  });

  it('that Keycloak refuses ends the session: the person was disabled', async () => {
    await shortTokens();
    const browser = await loggedIn(fleet, gateway, 'auditor-a');
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
    const browser = await loggedIn(fleet, gateway, 'user-a');
    expect(await sessionsOf('user-a')).toHaveLength(1);
    const copy = cookieHeader(await sessionCookies(browser));
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
    const browser = await loggedIn(fleet, gateway, 'user-a');
    const old = await sessionCookies(browser);
    await until(async () => (await me(browser)).headers['set-cookie'] !== undefined, { what: 'the session to be renewed' });
    const cookie = cookieHeader(old);
    expect((await gateway.send('POST', '/v1/auth/logout', { headers: { ...ofOurs, cookie } })).status).toBe(204);
    expect(await sessionsOf('user-a')).toEqual([]);
  });
});

describe('what is written down', () => {
  it('holds no token, code, cookie or secret', async () => {
    const browser = await loggedIn(fleet, gateway, 'admin-a');
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
