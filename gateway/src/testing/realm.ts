import { randomBytes } from 'node:crypto';
import { makeSigningKey, realmOf } from '@biz/local';
import { engines, uniqueName } from '@biz/testing';

/** A realm of its own on the run's Keycloak, made as the local one is: users are named by what they may, and have their name as password. */
export type TestRealm = AsyncDisposable & {
  readonly issuer: string;
  readonly jwksUrl: string;
  /** Of the client that people log in through. */
  readonly clientSecret: string;
  /** A request to the realm's admin API as the server's administrator; gives the decoded body. */
  admin<T>(method: string, path: string, body?: object): Promise<T>;
  /** Keycloak's id of a user. */
  userId(username: string): Promise<string>;
  /** An access token by password grant, of the client for scripts. */
  token(username: string): Promise<string>;
};

/** For a gateway that people find at `gatewayUrl`. Needs the server's administrator: KEYCLOAK_ADMIN, KEYCLOAK_ADMIN_PASSWORD, `admin` when not set. */
export async function testRealm(gatewayUrl: string): Promise<TestRealm> {
  const url = engines().keycloakUrl;
  const realm = uniqueName('realm');
  const secret = () => randomBytes(16).toString('hex');
  const options = { realm, gatewayUrl, gatewaySecret: secret(), identitySecret: secret(), signingKey: await makeSigningKey() };
  await server(url, 'POST', '/admin/realms', realmOf(options));
  const issuer = `${url}/realms/${realm}`;
  const admin = <T>(method: string, path: string, body?: object) => server<T>(url, method, `/admin/realms/${realm}${path}`, body);
  return {
    issuer,
    jwksUrl: `${issuer}/protocol/openid-connect/certs`,
    clientSecret: options.gatewaySecret,
    admin,
    async userId(username) {
      const [user] = await admin<{ id: string }[]>('GET', `/users?exact=true&username=${username}`);
      return user?.id ?? '';
    },
    token: (username) => passwordToken(issuer, 'biz-cli', username, username),
    async [Symbol.asyncDispose]() {
      await server(url, 'DELETE', `/admin/realms/${realm}`);
    },
  };
}

async function server<T>(url: string, method: string, path: string, body?: object): Promise<T> {
  const { KEYCLOAK_ADMIN = 'admin', KEYCLOAK_ADMIN_PASSWORD = 'admin' } = process.env;
  const token = await passwordToken(`${url}/realms/master`, 'admin-cli', KEYCLOAK_ADMIN, KEYCLOAK_ADMIN_PASSWORD);
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`Keycloak answered ${response.status} to ${method} ${path}: ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

async function passwordToken(issuer: string, clientId: string, username: string, password: string): Promise<string> {
  const body = new URLSearchParams({ grant_type: 'password', client_id: clientId, username, password });
  const response = await fetch(`${issuer}/protocol/openid-connect/token`, { method: 'POST', body });
  return ((await response.json()) as { access_token: string }).access_token;
}
