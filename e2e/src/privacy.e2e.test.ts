// Personal data is sealed before it is written anywhere: a contractor's name, e-mail and CPF are searched in every collection, on every
// topic and in every log file.

import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { until } from '@biz/testing';
import { Kafka, logLevel } from 'kafkajs';
import { MongoClient } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { as, auditHistory, unique } from './client.ts';
import { newCpf } from './documents.ts';
import { currentRun, localDir } from './fleet.ts';

const marker = randomUUID().slice(0, 8);
const person = { name: `Zuleica ${marker}`, email: `zuleica.${marker}@example.com`, document: newCpf(), phone: '+55 11 98877-6655' };
const needles = [person.name, person.email, person.document];

/** All that a database holds, as text. */
async function everyDocument(): Promise<{ place: string; text: string }[]> {
  const client = await new MongoClient(currentRun().mongodb_url).connect();
  try {
    const { databases } = await client.db().admin().listDatabases();
    const found: { place: string; text: string }[] = [];
    for (const { name } of databases.filter((database) => !['admin', 'local', 'config'].includes(database.name))) {
      for (const { name: collection } of await client.db(name).listCollections().toArray()) {
        for await (const document of client.db(name).collection(collection).find())
          found.push({ place: `${name}.${collection}`, text: textOf(document) });
      }
    }
    return found;
  } finally {
    await client.close();
  }
}

/** JSON of a document, with binary values also as the text that they may be. */
function textOf(document: object): string {
  return JSON.stringify(document, function (this: Record<string, unknown>, key, value) {
    const raw = this[key];
    if (raw instanceof Object && '_bsontype' in raw && raw._bsontype === 'Binary')
      return Buffer.from((raw as unknown as { buffer: Uint8Array }).buffer).toString('latin1');
    return value;
  });
}

/** Everything on a topic, keys and headers included. */
async function everyMessage(topic: string): Promise<string[]> {
  const kafka = new Kafka({ brokers: currentRun().kafka_brokers.split(','), clientId: unique('reader'), logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map(
    (await admin.fetchTopicOffsets(topic)).map(({ partition, high, low }) => [partition, { at: Number(low), high: Number(high) }]),
  );
  await admin.disconnect();
  const consumer = kafka.consumer({ groupId: unique('reader') });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const texts: string[] = [];
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      texts.push(JSON.stringify([message.key?.toString(), message.value?.toString(), message.headers]));
      const end = ends.get(partition);
      if (end) end.at = Number(message.offset) + 1;
    },
  });
  await until(() => [...ends.values()].every(({ at, high }) => at >= high), { timeoutMs: 120_000, what: `the end of ${topic}` });
  await consumer.disconnect();
  return texts;
}

describe('a contractor’s name, e-mail and CPF', () => {
  it('are in no collection, on no topic and in no log file, and open to those who may', async () => {
    const manager = as('manager-a');
    const created = await manager.post('/v1/client-contractors', person);
    expect(created.status, created.text).toBe(201);
    const { id } = created.body;
    await manager.patch(`/v1/client-contractors/${id}`, { name: `${person.name} Prado` }, 1);
    await manager.post('/v1/client-contractors', { ...person, document: '52998224724' }); // refused: the refusal must not log it
    await manager.get(`/v1/client-contractors?email=${encodeURIComponent(person.email)}`);
    await auditHistory('client_contractor', id, 2);

    const documents = await everyDocument();
    expect(documents.some(({ place, text }) => place === 'audit.records' && text.includes(id))).toBe(true);
    expect(documents.filter(({ text }) => needles.some((needle) => text.includes(needle))).map(({ place }) => place)).toEqual([]);

    const messages = await everyMessage('audit');
    expect(messages.some((text) => text.includes(id))).toBe(true);
    expect(messages.filter((text) => needles.some((needle) => text.includes(needle)))).toEqual([]);

    const logs = readdirSync(`${localDir()}/logs`).map((file) => ({ file, text: readFileSync(`${localDir()}/logs/${file}`, 'utf8') }));
    expect(logs.length).toBeGreaterThan(6);
    expect(
      logs
        .filter(({ text }) => needles.some((needle) => text.includes(needle) || text.includes(encodeURIComponent(needle))))
        .map(({ file }) => file),
    ).toEqual([]);

    const [asAuditor] = await auditHistory('client_contractor', id, 2, 'auditor-a');
    expect(asAuditor.payload).toMatchObject({ id, name: { sealed: true }, email: { sealed: true }, document: { sealed: true } });
    const [asDpo] = await auditHistory('client_contractor', id, 2, 'dpo-a');
    expect(asDpo.payload).toMatchObject({ id, ...person });
  });

  it('is found by its owner id, and by its document through the blind index', async () => {
    const { id } = (await as('manager-a').post('/v1/client-contractors', { ...person, document: newCpf(), email: `x.${person.email}` }))
      .body;
    await auditHistory('client_contractor', id, 1);
    // a batch's records can be read a moment before it is noted whose they are
    const ownership = await until(
      async () => {
        const answer = await as('dpo-a').get(`/v1/ownerships/${id}`);
        return answer.status === 200 && answer;
      },
      { timeoutMs: 90_000, what: 'the ownership' },
    );
    expect(ownership.body, ownership.text).toMatchObject({
      ownership_id: id,
      entity_types: ['client_contractor'],
      record_count: 1,
      key_state: 'active',
    });
    const byEmail = await as('dpo-a').get(`/v1/ownerships?email=${encodeURIComponent(`x.${person.email}`)}`);
    expect(byEmail.body.items.map((item: { ownership_id: string }) => item.ownership_id)).toEqual([id]);
    expect((await as('dpo-a').get(`/v1/ownerships/${id}/records`)).body.items).toHaveLength(1);
    const foreign = await as('admin-b').get(`/v1/ownerships/${id}`);
    expect([403, 404]).toContain(foreign.status);
  });
});
