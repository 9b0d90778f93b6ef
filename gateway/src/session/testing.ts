import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { loadContract } from '@biz/protos';
import { type Page, type TestBrowser, type TestTls, testBrowser, testTls } from '@biz/testing';
import { type TestGateway, type TestRealm, type TestServices, testGateway, testRealm, testServices } from '../testing/index.ts';

/** Where people find the gateways of a test; no resolver knows it, so that nothing here depends on a port. */
export const site = 'https://gateway.test';

/** Headers that a page of ours sends with a change. */
export const ofOurs = { 'sec-fetch-site': 'same-origin', origin: site, 'x-csrf': '1' };

export const newKey = () => randomBytes(32).toString('base64');

export type LoginFleet = AsyncDisposable & {
  readonly realm: TestRealm;
  readonly services: TestServices;
  readonly key: string;
  /** One more gateway behind the same address; `env` adds to its settings. */
  gateway(env?: Record<string, string>): Promise<TestGateway>;
  /** A browser with no cookies, whose requests go to the given gateway until `turnTo`. */
  browser(gateway: TestGateway): TestBrowser & { turnTo(gateway: TestGateway): void };
};

/** A realm and a service for gateways that share a session key. */
export async function loginFleet(): Promise<LoginFleet> {
  await using stack = new AsyncDisposableStack();
  const tls: TestTls = stack.use(await testTls(['gateway', 'cost-center']));
  const realm = stack.use(await testRealm(site));
  const services = stack.use(await testServices(loadContract(), tls, ['cost-center']));
  const key = newKey();
  const owned = stack.move();
  const issuer = { ...realm, token: () => Promise.reject(new Error('Log in, or ask the realm for a token.')) };
  return {
    realm,
    services,
    key,
    gateway: async (env = {}) =>
      owned.use(
        await testGateway(tls, issuer, {
          SERVICE_ADDRESSES: `cost-center=${services.addresses['cost-center']}`,
          PUBLIC_URL: site,
          OIDC_CLIENT_SECRET: realm.clientSecret,
          SESSION_KEY: key,
          ...env,
        }),
      ),
    browser: (gateway) => {
      const origins = new Map([[site, gateway.url]]);
      const browser = owned.use(testBrowser({ ca: readFileSync(tls.caFile), origins }));
      return { ...browser, turnTo: (other) => void origins.set(site, other.url) };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Logs a user in by Keycloak's form; gives the page that the login ends at. */
export async function logIn(browser: TestBrowser, username: string, returnTo = '/v1/me'): Promise<Page> {
  const form = await browser.open(`${site}/v1/auth/login?return_to=${encodeURIComponent(returnTo)}`);
  return browser.submit(form, { username, password: username });
}

/** `GET /v1/me` with the browser's cookies. */
export async function me(browser: TestBrowser, headers: Record<string, string> = {}) {
  const page = await browser.send('GET', `${site}/v1/me`, { headers });
  return { ...page, body: JSON.parse(page.text) };
}

/** The session cookies that a browser has. */
export async function sessionCookies(browser: TestBrowser): Promise<Record<string, string>> {
  const all = Object.entries(await browser.cookies(`${site}/`));
  return Object.fromEntries(all.filter(([name]) => name.startsWith('__Host-session')));
}

/** A browser in which a user is logged in. */
export async function loggedIn(fleet: LoginFleet, gateway: TestGateway, username: string): Promise<ReturnType<LoginFleet['browser']>> {
  const browser = fleet.browser(gateway);
  const { status, text } = await logIn(browser, username);
  if (status !== 200) throw new Error(`${username} could not log in: ${status} ${text}`);
  return browser;
}

/** Cookies as a request brings them. */
export function cookieHeader(cookies: Readonly<Record<string, string>>): string {
  return Object.entries(cookies)
    .map((pair) => pair.join('='))
    .join('; ');
}

/** The status of a page that is a problem document, and its code. */
export const codeOf = (page: { status: number; text: string }) => [page.status, JSON.parse(page.text).code];
