// A realm of the run's own Keycloak, made as `npm start` makes it.
import { randomBytes } from 'node:crypto';
import { engines, uniqueName } from '@biz/testing';
import { expect, test } from 'vitest';
import { ensureRealm, followAddresses, passwordToken } from './keycloak-realm.ts';
import { makeSigningKey, realmOf } from './realm.ts';

test('a gateway that moves takes the redirect URIs of the realm with it, and nothing else', async () => {
  const url = engines().keycloakUrl;
  const realm = uniqueName('realm');
  const admin = { username: process.env.KEYCLOAK_ADMIN ?? 'admin', password: process.env.KEYCLOAK_ADMIN_PASSWORD ?? 'admin' };
  const secrets = { gatewaySecret: randomBytes(12).toString('hex'), identitySecret: 'i', signingKey: await makeSigningKey() };
  const at = (gatewayUrl: string) => ({ url, realm, admin, representation: realmOf({ realm, gatewayUrl, ...secrets }) });
  const ask = async (method: string, path: string) => {
    const token = await passwordToken({ url, realm: 'master', clientId: 'admin-cli', ...admin });
    return fetch(`${url}/admin/realms/${realm}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  };
  const clients = async () => {
    const all = (await (await ask('GET', '/clients')).json()) as { clientId: string; redirectUris: string[]; attributes: object }[];
    return Object.fromEntries(all.map((client) => [client.clientId, client]));
  };
  try {
    expect(await ensureRealm(at('https://localhost:8443'))).toBe(true);
    const before = await clients();
    expect(before['biz-gateway']?.redirectUris).toEqual(['https://localhost:8443/v1/auth/callback']);
    await followAddresses(at('https://localhost:9443'));
    const after = await clients();
    expect(after['biz-gateway']).toEqual({ ...before['biz-gateway'], redirectUris: ['https://localhost:9443/v1/auth/callback'] });
    expect(after['biz-cli']).toMatchObject({ redirectUris: ['https://localhost:9443/*'], webOrigins: ['https://localhost:9443'] });
    expect(after['identity-service']).toEqual(before['identity-service']);
    expect(await ensureRealm(at('https://localhost:9443'))).toBe(false);
  } finally {
    await ask('DELETE', '');
  }
});
