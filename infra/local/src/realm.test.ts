import { expect, test } from 'vitest';
import { companyId, people, userId } from './people.ts';
import { realmOf } from './realm.ts';

const realm = realmOf({
  realm: 'biz',
  gatewayUrl: 'https://localhost:8443',
  gatewaySecret: 'g',
  identitySecret: 'i',
  signingKey: 'k',
}) as unknown as Realm;

test('every kind of user is there, with the ids that identity will know', () => {
  const named = Object.fromEntries(realm.users.map((user) => [user.username, user]));
  for (const name of ['admin-a', 'manager-a', 'auditor-a', 'dpo-a', 'user-a', 'admin-b', 'user-b', 'user-none', 'platform']) {
    expect(named[name]?.attributes?.user_id).toEqual([userId(name)]);
  }
  expect(named['manager-a']).toMatchObject({ realmRoles: ['manager'], attributes: { companies: [companyId('a')] } });
  expect(named['user-none']?.attributes?.companies).toEqual([]);
  expect(named.platform).toMatchObject({ realmRoles: ['auditor', 'dpo'], attributes: { companies: ['*'] } });
  expect(people).toHaveLength(11);
});

test('attributes that become claims are declared, or Keycloak would drop them, and no user may change them', () => {
  const provider = realm.components['org.keycloak.userprofile.UserProfileProvider']?.[0];
  const profile = JSON.parse(provider?.config['kc.user.profile.config'][0] ?? '') as Profile;
  const mapped = realm.clients.flatMap((client) => client.protocolMappers.map((mapper) => mapper.config['user.attribute']));
  const names = [...new Set(mapped.filter((name) => name !== undefined))];
  expect(names.toSorted()).toEqual(['clients', 'companies', 'company_roles', 'user_id']);
  for (const name of names) {
    expect(profile.attributes.find((attribute) => attribute.name === name)?.permissions).toEqual({ view: ['admin'], edit: ['admin'] });
  }
});

test('every client gives tokens the audience of the API; only the local one takes passwords', () => {
  for (const client of realm.clients) {
    expect(client.protocolMappers.some((mapper) => mapper.config['included.custom.audience'] === 'biz-api')).toBe(true);
  }
  expect(realm.clients.filter((client) => client.directAccessGrantsEnabled).map((client) => client.clientId)).toEqual(['biz-cli']);
  expect(realm).not.toHaveProperty('clientScopes');
});

interface Realm {
  users: { username: string; realmRoles?: string[]; attributes?: Record<string, string[]> }[];
  components: Record<string, { config: { 'kc.user.profile.config': [string] } }[]>;
  clients: { clientId: string; directAccessGrantsEnabled?: boolean; protocolMappers: { config: Record<string, string> }[] }[];
}

interface Profile {
  attributes: { name: string; permissions: object }[];
}
