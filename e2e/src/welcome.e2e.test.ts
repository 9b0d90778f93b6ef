// A new user: Keycloak follows, and one welcome mail arrives, even when the event comes twice.
import { randomUUID } from 'node:crypto';
import { until } from '@biz/testing';
import { Kafka, logLevel } from 'kafkajs';
import { fetch } from 'undici';
import { describe, expect, it } from 'vitest';
import { as, auditHistory, unique } from './client.ts';
import { currentRun } from './fleet.ts';
import { keycloakUser } from './keycloak.ts';

async function mailsTo(address: string): Promise<string[]> {
  const answer = await fetch(`${currentRun().mail_url}/email`);
  const mails = (await answer.json()) as { to: { address: string }[]; subject: string }[];
  return mails.filter((mail) => mail.to.some((to) => to.address === address)).map((mail) => mail.subject);
}

describe('a new user', () => {
  it('is welcomed once', async () => {
    const email = `${unique('nova')}@example.com`;
    const created = await as('admin-a').post('/v1/users', { username: unique('nova'), email, name: 'Nova Pessoa', locale: 'pt-BR' });
    expect(created.status, created.text).toBe(201);
    await until(async () => (await mailsTo(email)).length > 0, { timeoutMs: 90_000, what: 'the welcome mail' });

    // the same event again, as a relay that died before its mark would send it
    const kafka = new Kafka({ brokers: currentRun().kafka_brokers.split(','), clientId: unique('again'), logLevel: logLevel.NOTHING });
    const [admin, producer, consumer] = [kafka.admin(), kafka.producer(), kafka.consumer({ groupId: unique('again') })];
    await Promise.all([admin.connect(), producer.connect(), consumer.connect()]);
    await consumer.subscribe({ topic: 'audit', fromBeginning: true });
    let copy: { partition: number; offset: bigint } | undefined;
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ message }) => {
        if (copy || !message.value?.includes(created.body.id) || !message.value.includes('user.created')) return;
        const { key, value, headers = {} } = message;
        const [sent] = await producer.send({ topic: 'audit', messages: [{ key, value, headers }] });
        copy = { partition: sent?.partition ?? -1, offset: BigInt(sent?.baseOffset ?? -1) };
      },
    });
    const { partition, offset } = await until(() => copy, { timeoutMs: 90_000, what: 'the event on the topic' });
    for (const groupId of ['notification', 'audit']) {
      const passed = async () => {
        const [topic] = await admin.fetchOffsets({ groupId, topics: ['audit'] });
        return topic?.partitions.some((one) => one.partition === partition && BigInt(one.offset) > offset);
      };
      await until(passed, { timeoutMs: 90_000, intervalMs: 200, what: `the copy to be passed by ${groupId}` });
    }
    await Promise.all([admin.disconnect(), producer.disconnect(), consumer.disconnect()]);

    // another user's mail, asked for later, shows that one for the copy would be there by then
    const later = `${unique('depois')}@example.com`;
    await as('admin-a').post('/v1/users', { username: unique('depois'), email: later, name: 'Depois' });
    await until(async () => (await mailsTo(later)).length > 0, { timeoutMs: 90_000, what: 'the later mail' });
    expect(await mailsTo(email)).toHaveLength(1);
    expect(await auditHistory('user', created.body.id, 1)).toHaveLength(1);
  });

  it('reaches Keycloak with its roles and companies', async () => {
    const admin = as('admin-a');
    const profile = (await admin.post('/v1/profiles', { name: unique('Gerente'), roles: ['manager'] })).body;
    const username = unique('chefe');
    const user = (await admin.post('/v1/users', { username, email: `${username}@example.com`, name: 'Chefe', profile_ids: [profile.id] }))
      .body;
    const assigned = await admin.get(`/v1/users/${user.id}`);
    expect(assigned.body.profile_ids).toEqual([profile.id]);
    await until(async () => (await keycloakUser(username))?.attributes?.user_id?.[0] === user.id, {
      timeoutMs: 90_000,
      what: `${username} in Keycloak`,
    });
    const found = await keycloakUser(username);
    expect(found).toMatchObject({ enabled: true, attributes: { companies: [user.company_id] } });
    await admin.post(`/v1/users/${user.id}/disable`);
    await until(async () => (await keycloakUser(username))?.enabled === false, {
      timeoutMs: 90_000,
      what: `${username} disabled in Keycloak`,
    });
  });

  it('that is nonsense to Keycloak stays a problem of the request', async () => {
    const answer = await as('admin-a').post('/v1/users', { username: 'Not A Name', email: 'no', name: '', document: randomUUID() });
    expect(answer.status).toBe(400);
    expect(new Set(answer.body.errors.map((error: { path: string }) => error.path))).toEqual(
      new Set(['/document', '/email', '/name', '/username']),
    );
  });
});
