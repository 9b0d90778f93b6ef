// A person logs in with a browser's means: Keycloak's own form, cookies, redirects.
import { readFileSync } from 'node:fs';
import { type TestBrowser, testBrowser } from '@biz/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { as, auditHistory, unique } from './client.ts';
import { currentRun, localDir } from './fleet.ts';

const browsers: TestBrowser[] = [];
afterAll(() => Promise.all(browsers.map((browser) => browser[Symbol.asyncDispose]())));

function newBrowser(): TestBrowser {
  const browser = testBrowser({ ca: readFileSync(currentRun().ca_file) });
  browsers.push(browser);
  return browser;
}

/** Headers that a page of the gateway sends with a change. */
const ofOurs = () => ({ 'sec-fetch-site': 'same-origin', origin: currentRun().gateway, 'x-csrf': '1' });

describe('a person', () => {
  it('logs in, changes something that the audit knows them by, and logs out', async () => {
    const { gateway } = currentRun();
    const browser = newBrowser();
    expect((await browser.send('GET', `${gateway}/v1/me`)).status).toBe(401);

    const form = await browser.open(`${gateway}/v1/auth/login?return_to=/v1/me`);
    expect(form.text).toContain('<form');
    const page = await browser.submit(form, { username: 'admin-a', password: 'admin-a' });
    expect([page.url, page.status]).toEqual([`${gateway}/v1/me`, 200]);
    const me = JSON.parse(page.text);
    expect(me).toMatchObject({ username: 'admin-a', roles: ['admin'], session: { expires_at: expect.any(String) } });
    expect((await as('admin-a').get('/v1/me')).body).toEqual({ ...me, session: null });

    const body = JSON.stringify({ code: unique('CC'), name: 'Loja' });
    const headers = { 'content-type': 'application/json' };
    const forged = await browser.send('POST', `${gateway}/v1/cost-centers`, { body, headers });
    expect([forged.status, JSON.parse(forged.text).code]).toEqual([403, 'cross_site_request']);
    const created = await browser.send('POST', `${gateway}/v1/cost-centers`, { body, headers: { ...headers, ...ofOurs() } });
    expect(created.status).toBe(201);
    const [record] = await auditHistory('cost_center', JSON.parse(created.text).id, 1);
    expect(record).toMatchObject({ owner_id: me.id, owner_role: 'admin', owner_type: 'user', company_id: me.company_id });

    expect((await browser.send('POST', `${gateway}/v1/auth/logout`, { headers: ofOurs() })).status).toBe(204);
    expect((await browser.send('GET', `${gateway}/v1/me`)).status).toBe(401);
    expect((await browser.open(`${gateway}/v1/auth/login`)).text).toContain('<form'); // asked for the password again
  });

  it('of another company sees what that company’s people see, and is refused with the same codes', async () => {
    const { gateway } = currentRun();
    const { id } = (await as('admin-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja' })).body;
    const browser = newBrowser();
    await browser.submit(await browser.open(`${gateway}/v1/auth/login`), { username: 'admin-b', password: 'admin-b' });
    const foreign = await browser.send('GET', `${gateway}/v1/cost-centers/${id}`);
    expect([foreign.status, JSON.parse(foreign.text).code]).toEqual([404, 'not_found']);
    const wrong = await browser.send('GET', `${gateway}/v1/cost-centers`, {
      headers: { 'x-company-id': JSON.parse(foreign.text).trace_id },
    });
    expect([wrong.status, JSON.parse(wrong.text).code]).toEqual([403, 'wrong_company']);
  });

  it('with a wrong password stays at Keycloak, and no session is opened', async () => {
    const { gateway } = currentRun();
    const browser = newBrowser();
    const page = await browser.submit(await browser.open(`${gateway}/v1/auth/login`), { username: 'admin-a', password: 'x' });
    expect(page.url).toContain(currentRun().keycloak_url);
    expect(Object.keys(await browser.cookies(`${gateway}/`)).filter((name) => name.startsWith('__Host-session'))).toEqual([]);
  });
});

describe('the gateway’s log', () => {
  it('holds no token, code or cookie', () => {
    const log = readFileSync(`${localDir()}/logs/gateway.log`, 'utf8');
    expect(log).toContain('/v1/auth/callback');
    expect(log).not.toMatch(/eyJ[\w-]{10}|code=|__Host-/);
  });
});
