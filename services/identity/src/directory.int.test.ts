import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDirectory, type Directory, type DirectoryUser } from './directory.ts';
import { createKeycloakAdmin, KeycloakRefusal } from './keycloak.ts';
import { type TestRealm, testRealm } from './test-realm.ts';

let realm: TestRealm;
let directory: Directory;

beforeAll(async () => {
  realm = await testRealm();
  directory = createDirectory(createKeycloakAdmin(realm));
});

afterAll(() => realm[Symbol.asyncDispose]());

let count = 0;

function person(over: Partial<DirectoryUser> = {}): DirectoryUser {
  count += 1;
  const id = crypto.randomUUID();
  return {
    id,
    username: `maria-${count}`,
    email: `maria-${count}@example.com`,
    name: 'Maria da Silva',
    enabled: true,
    companies: ['c-1', 'c-2'],
    clients: ['cl-1'],
    locale: 'pt-BR',
    roles: ['user', 'manager'],
    companyRoles: ['c-2:admin'],
    ...over,
  };
}

/** Makes the user in Keycloak, with the password `pw`. */
async function enrol(user: DirectoryUser): Promise<DirectoryUser> {
  await directory.ensureUser(user);
  await realm.setPassword(user.username, 'pw');
  return user;
}

function managed(claims: Record<string, unknown>): string[] {
  const { roles } = claims.realm_access as { roles: string[] };
  return roles.filter((role) => ['admin', 'manager', 'auditor', 'dpo', 'user'].includes(role)).sort();
}

describe('a user brought to Keycloak', () => {
  it('logs in with its roles and companies in the token', async () => {
    const user = await enrol(person());
    const claims = await realm.logIn(user.username, 'pw');
    expect(claims).toMatchObject({ user_id: user.id, companies: ['c-1', 'c-2'], clients: ['cl-1'], name: 'Maria da Silva' });
    expect(claims.company_roles).toEqual(['c-2:admin']);
    expect(managed(claims)).toEqual(['manager', 'user']);
  });

  it('is left alone when it is as it should be', async () => {
    const user = await enrol(person());
    expect(await directory.ensureUser(user)).toBe('unchanged');
  });

  it('takes other roles, companies and contact data, and keeps its password', async () => {
    const user = await enrol(person());
    const changed = {
      ...user,
      roles: ['dpo'],
      companies: ['c-2'],
      clients: [],
      companyRoles: [],
      email: 'nova@example.com',
      name: 'Maria',
    };
    expect(await directory.ensureUser(changed)).toBe('updated');
    const claims = await realm.logIn(user.username, 'pw');
    expect(claims).toMatchObject({ companies: ['c-2'], email: 'nova@example.com', given_name: 'Maria' });
    expect([claims.clients, claims.company_roles]).toEqual([undefined, undefined]);
    expect(managed(claims)).toEqual(['dpo']);
    expect(await directory.ensureUser(changed)).toBe('unchanged');
  });

  it('cannot log in while disabled', async () => {
    const user = await enrol(person());
    await directory.ensureUser({ ...user, enabled: false });
    expect((await realm.logIn(user.username, 'pw')).error).toBe('Account disabled');
    await directory.ensureUser(user);
    expect((await realm.logIn(user.username, 'pw')).user_id).toBe(user.id);
  });

  it('is gone once removed, however often that is asked', async () => {
    const user = await enrol(person());
    await directory.removeUser(user);
    await directory.removeUser(user);
    expect((await realm.logIn(user.username, 'pw')).error).toBe('Invalid user credentials');
  });

  it('is found again under a name that an administrator gave it in Keycloak', async () => {
    const user = await enrol(person());
    const [found] = await realm.admin<{ id: string }[]>('GET', `/users?exact=true&username=${user.username}`);
    await realm.admin('PUT', '', { editUsernameAllowed: true });
    await realm.admin('PUT', `/users/${found?.id}`, { ...found, username: `${user.username}-renamed` });
    expect(await directory.ensureUser({ ...user, roles: ['user'] })).toBe('updated');
  });
});

describe('a user that Keycloak had before', () => {
  const before = (user: DirectoryUser, over: object = {}) =>
    realm.admin('POST', '/users', {
      ...{ username: user.username, email: user.email, enabled: true, requiredActions: ['UPDATE_PASSWORD'] },
      ...over,
    });

  it('is adopted by its username and e-mail, with what we do not manage', async () => {
    const user = person();
    await before(user, { attributes: { companies: ['c-2'] } });
    await directory.ensureUser(user);
    const [found] = await realm.admin<{ requiredActions: string[] }[]>('GET', `/users?exact=true&username=${user.username}`);
    expect(found?.requiredActions).toEqual(['UPDATE_PASSWORD']);
    await realm.setPassword(user.username, 'pw');
    expect((await realm.logIn(user.username, 'pw')).user_id).toBe(user.id);
  });

  it.each([
    ['has another e-mail', { email: 'somebody-else@example.com' }],
    ['has more companies', { attributes: { companies: ['*'] } }],
  ])('is not taken over when it %s', async (_, over) => {
    const user = person();
    await before(user, over);
    await expect(directory.ensureUser(user)).rejects.toThrow('the username belongs to another user');
    await directory.removeUser(user);
    expect(await realm.admin('GET', `/users?exact=true&username=${user.username}`)).toHaveLength(1);
  });

  it('is not the account of a service', async () => {
    const user = person({ username: 'service-account-identity-service' });
    await expect(directory.ensureUser(user)).rejects.toThrow(KeycloakRefusal);
  });

  it('of ours under the same name is neither taken over nor removed', async () => {
    const first = await enrol(person());
    const second = person({ username: first.username });
    await expect(directory.ensureUser(second)).rejects.toThrow('the username belongs to another user');
    await directory.removeUser(second);
    expect((await realm.logIn(first.username, 'pw')).user_id).toBe(first.id);
  });
});

describe('what Keycloak will not take', () => {
  it('is a refusal that says why without repeating values: an e-mail of another user', async () => {
    const first = await enrol(person());
    const second = person({ email: first.email });
    const refusal = await directory.ensureUser(second).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(KeycloakRefusal);
    expect(refusal).toMatchObject({ status: 409 });
    expect(String(refusal)).not.toContain(first.email);
  });

  it('is a refusal for a role that the realm lacks', async () => {
    await realm.admin('DELETE', '/roles/auditor');
    await expect(directory.ensureUser(person({ roles: ['auditor'] }))).rejects.toThrow('the realm lacks a role of auditor');
  });
});
