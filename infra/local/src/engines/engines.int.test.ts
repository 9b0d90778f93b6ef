import { engines, uniqueName, until } from '@biz/testing';
import { Kafka, logLevel } from 'kafkajs';
import { expect, test } from 'vitest';
import { ensureRealm, passwordToken } from '../keycloak-realm.ts';
import { companyId, userId } from '../people.ts';
import { makeSigningKey, realmOf } from '../realm.ts';

test('the broker takes and gives a message', async () => {
  const kafka = new Kafka({ brokers: engines().kafkaBrokers, logLevel: logLevel.NOTHING });
  const topic = uniqueName('local');
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: false });
  await until(() => admin.fetchTopicMetadata({ topics: [topic] }), { what: 'the broker to know the topic' });
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: [{ key: 'k', value: 'v' }] });
  const offsets = await admin.fetchTopicOffsets(topic);
  expect(offsets.reduce((sum, partition) => sum + Number(partition.high), 0)).toBe(1);
  await producer.disconnect();
  await admin.deleteTopics({ topics: [topic] });
  await admin.disconnect();
});

test('the realm is made once, and its tokens say what the gateway asks for', async () => {
  const url = engines().keycloakUrl;
  const realm = uniqueName('realm');
  const admin = { username: String(process.env.KEYCLOAK_ADMIN), password: String(process.env.KEYCLOAK_ADMIN_PASSWORD) };
  const representation = realmOf({
    realm,
    gatewayUrl: 'https://localhost:8443',
    gatewaySecret: 'g',
    identitySecret: 'i',
    signingKey: await makeSigningKey(),
  });
  expect(await ensureRealm({ url, realm, admin, representation })).toBe(true);
  expect(await ensureRealm({ url, realm, admin: undefined, representation })).toBe(false);

  const grant = { url, realm, clientId: 'biz-cli' };
  const manager = claimsOf(await passwordToken({ ...grant, username: 'manager-a', password: 'manager-a' }));
  expect(manager).toMatchObject({ companies: [companyId('a')], user_id: userId('manager-a'), iss: `${url}/realms/${realm}` });
  expect(manager.aud).toContain('biz-api');
  expect(manager.realm_access.roles).toContain('manager');
  expect(manager.sub).toMatch(/./);
  const platform = claimsOf(await passwordToken({ ...grant, username: 'platform', password: 'platform' }));
  expect(platform.companies).toEqual(['*']);
  const none = claimsOf(await passwordToken({ ...grant, username: 'user-none', password: 'user-none' }));
  expect(none.companies ?? []).toEqual([]);
});

test('the identity service may read and change users, roles and events of its realm', async () => {
  const url = engines().keycloakUrl;
  const { KEYCLOAK_REALM: realm, KEYCLOAK_CLIENT_ID: id, KEYCLOAK_CLIENT_SECRET: secret } = process.env;
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: String(id), client_secret: String(secret) });
  const answer = await fetch(`${url}/realms/${realm}/protocol/openid-connect/token`, { method: 'POST', body });
  const { access_token: token } = (await answer.json()) as { access_token: string };
  for (const path of ['users?max=1', 'roles', 'events?max=1']) {
    const read = await fetch(`${url}/admin/realms/${realm}/${path}`, { headers: { authorization: `Bearer ${token}` } });
    expect([path, read.status]).toEqual([path, 200]);
  }
});

function claimsOf(token: string): {
  companies?: string[];
  user_id?: string;
  iss: string;
  aud: string[];
  sub: string;
  realm_access: { roles: string[] };
} {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}
