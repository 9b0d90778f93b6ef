import { randomBytes } from 'node:crypto';
import { engines, uniqueName } from '@biz/testing';
import { eventTypes } from './logins/draft.ts';

/** Attributes that the realm's user profile must declare, or Keycloak drops them (see README.md). */
const attributeNames = ['user_id', 'companies', 'clients', 'company_roles', 'locale'];
const roleNames = ['admin', 'manager', 'auditor', 'dpo', 'user'];

export type TestRealm = AsyncDisposable & {
  readonly url: string;
  readonly realm: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** A request to the realm's admin API as the server's administrator; gives the decoded body. */
  admin<T>(method: string, path: string, body?: object): Promise<T>;
  setPassword(username: string, password: string): Promise<void>;
  /** Claims of the access token that a log-in gives, or the error that Keycloak tells. */
  logIn(username: string, password: string): Promise<Record<string, unknown> & { error?: string }>;
};

/**
 * A realm of its own on the run's Keycloak, made as the local one is (roles, user profile, a public client, the service's client).
 * Needs the server's administrator: KEYCLOAK_ADMIN, KEYCLOAK_ADMIN_PASSWORD, `admin` when not set. Disposing deletes the realm.
 */
export async function testRealm(): Promise<TestRealm> {
  const url = engines().keycloakUrl;
  const realm = uniqueName('realm');
  const clientSecret = randomBytes(12).toString('hex');
  await server(url, 'POST', '/admin/realms', realmOf(realm, clientSecret));
  const admin = <T>(method: string, path: string, body?: object) => server<T>(url, method, `/admin/realms/${realm}${path}`, body);
  return {
    url,
    realm,
    clientId: 'identity-service',
    clientSecret,
    admin,
    async setPassword(username, password) {
      const [user] = await admin<{ id: string }[]>('GET', `/users?exact=true&username=${username}`);
      await admin('PUT', `/users/${user?.id}/reset-password`, { type: 'password', value: password, temporary: false });
    },
    async logIn(username, password) {
      const answer = await tokenFor(url, realm, { client_id: 'biz-cli', username, password });
      if (typeof answer.access_token !== 'string') return { error: String(answer.error_description ?? answer.error) };
      return JSON.parse(Buffer.from(answer.access_token.split('.')[1] ?? '', 'base64url').toString());
    },
    async [Symbol.asyncDispose]() {
      await server(url, 'DELETE', `/admin/realms/${realm}`);
    },
  };
}

async function server<T>(url: string, method: string, path: string, body?: object): Promise<T> {
  const username = process.env.KEYCLOAK_ADMIN ?? 'admin';
  const password = process.env.KEYCLOAK_ADMIN_PASSWORD ?? 'admin';
  const { access_token } = await tokenFor(url, 'master', { client_id: 'admin-cli', username, password });
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`Keycloak answered ${response.status} to ${method} ${path}: ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

async function tokenFor(url: string, realm: string, form: Record<string, string>): Promise<Record<string, unknown>> {
  const body = new URLSearchParams({ grant_type: 'password', ...form });
  const response = await fetch(`${url}/realms/${realm}/protocol/openid-connect/token`, { method: 'POST', body });
  return (await response.json()) as Record<string, unknown>;
}

function realmOf(realm: string, secret: string): object {
  return {
    realm,
    enabled: true,
    sslRequired: 'none',
    eventsEnabled: true,
    enabledEventTypes: [...eventTypes],
    roles: { realm: roleNames.map((name) => ({ name })) },
    components: { 'org.keycloak.userprofile.UserProfileProvider': [userProfile()] },
    clients: [
      {
        clientId: 'biz-cli',
        enabled: true,
        publicClient: true,
        directAccessGrantsEnabled: true,
        protocolMappers: ['user_id', 'companies', 'clients', 'company_roles'].map(mapper),
      },
      {
        clientId: 'identity-service',
        enabled: true,
        publicClient: false,
        secret,
        serviceAccountsEnabled: true,
        standardFlowEnabled: false,
      },
    ],
    users: [
      {
        username: 'service-account-identity-service',
        enabled: true,
        serviceAccountClientId: 'identity-service',
        clientRoles: { 'realm-management': ['manage-users', 'view-users', 'query-users', 'view-events'] },
      },
    ],
  };
}

function userProfile(): object {
  const permissions = { view: ['admin', 'user'], edit: ['admin'] };
  const attributes = [
    ...['username', 'email', 'firstName', 'lastName'].map((name) => ({ name, permissions })),
    ...attributeNames.map((name) => ({ name, multivalued: true, permissions: { view: ['admin'], edit: ['admin'] } })),
  ];
  return { providerId: 'declarative-user-profile', config: { 'kc.user.profile.config': [JSON.stringify({ attributes })] } };
}

function mapper(name: string): object {
  return {
    name,
    protocol: 'openid-connect',
    protocolMapper: 'oidc-usermodel-attribute-mapper',
    config: {
      'user.attribute': name,
      'claim.name': name,
      multivalued: String(name !== 'user_id'),
      'jsonType.label': 'String',
      'access.token.claim': 'true',
    },
  };
}
