import { randomUUID } from 'node:crypto';
import { type Bus, createBus } from '@biz/bus';
import { type ReadEvent, readEnvelope } from '@biz/envelope';
import { engines, type TestDatabase, testDatabase, uniqueName, until } from '@biz/testing';
import { type CommandStartedEvent, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOutbox, type Outbox, type OutboxOptions, type OwnEvent } from './outbox.ts';
import type { EventDocument } from './types.ts';

let database: TestDatabase;
let bus: Bus;
const topic = uniqueName('outbox');
const context = {
  ...{ actor: { id: 'u-test', type: 'user' as const }, role: 'dpo', ip: '203.0.113.9' },
  ...{ trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
};
const log = { warn: () => undefined };

beforeAll(async () => {
  database = await testDatabase('outbox');
  bus = createBus({
    brokers: engines().kafkaBrokers,
    clientId: 'outbox-test',
    log: { ...log, error: () => undefined, info: () => undefined, debug: () => undefined },
  });
  await bus.ensureTopics([{ topic, partitions: 1 }]);
});
afterAll(async () => {
  await bus[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const events = () => database.db.collection<EventDocument>('events');
const read = (over: Partial<OwnEvent> = {}): OwnEvent => ({
  type: 'audit.read',
  entity_type: 'audit_read',
  action_type: 'new',
  company_id: 'company-a',
  data: { count: 3 },
  context,
  ...over,
});

function open(over: Partial<OutboxOptions> = {}): Promise<Outbox> {
  return createOutbox({
    db: database.db,
    producer: bus.producer(),
    topic,
    identity: { service: 'test_service', instance: randomUUID() },
    environment: 'test',
    keepDays: 30,
    log,
    pollMs: 20,
    ...over,
  });
}

/** A connection of its own, that tells its commands and can be closed. */
const connect = () => new MongoClient(engines().mongodbUrl, { monitorCommands: true, serverSelectionTimeoutMS: 1_000 }).connect();
const published = () => until(async () => (await events().countDocuments({ published_at: null })) === 0, { what: 'the relay' });

describe('the outbox', () => {
  it('publishes each event as any producer does', async () => {
    const got = new Map<string, ReadEvent>();
    await using _consumer = bus.consumer({
      ...{ groupId: uniqueName('group'), topics: [topic], onFatal: () => undefined },
      batch: async ({ messages }) => {
        for (const message of messages) {
          const read = readEnvelope(message);
          if (read.ok) got.set(read.event.event_id, read.event);
        }
      },
    });
    await using outbox = await open();
    await outbox.append([
      read({ event_id: 'n-1', client_id: 'client-1', at: '2026-01-02T03:04:05.678Z' }),
      read({ company_id: null, event_id: 'n-2', producer: 'gateway_service' }),
    ]);
    const finding = { type: 'audit_finding.opened', entity_type: 'audit_finding', entity_id: 'f-1' };
    await outbox.append([read({ ...finding, event_id: 'n-3' }), read({ ...finding, event_id: 'n-4', version: 2, action_type: 'disable' })]);
    await until(() => got.size === 4, { what: 'the topic' });
    const seen = [...got.values()].sort((one, other) => (one.event_id < other.event_id ? -1 : 1));
    expect(seen.map(({ event_id, entity_type, action_type }) => [event_id, entity_type, action_type])).toEqual([
      ['n-1', 'audit_read', 'new'],
      ['n-2', 'audit_read', 'new'],
      ['n-3', 'audit_finding', 'new'],
      ['n-4', 'audit_finding', 'disable'],
    ]);
    expect(seen[0]).toMatchObject({
      ownership_id: 'company-a',
      client_id: 'client-1',
      owner_id: 'u-test',
      timestamp: '2026-01-02T03:04:05.678Z',
    });
    expect(seen.map(({ producer_service }) => producer_service)).toEqual([
      'test_service',
      'gateway_service',
      'test_service',
      'test_service',
    ]);
    expect(seen[1]).toMatchObject({ ownership_id: 'n-2', company_id: null, owner_ip: '203.0.113.9', owner_role: 'dpo' });
  });

  it('stands beside an event store in a collection of its own', async () => {
    await using outbox = await open({ collection: 'own_events' });
    await outbox.append([read({ event_id: 'beside' })]);
    expect(await events().countDocuments({ _id: 'beside' })).toBe(0);
    expect(await database.db.collection('own_events').countDocuments({ 'data.count': 3 })).toBe(1);
  });

  it('writes what waits at the same time in few inserts, each event once', async () => {
    const inserts: number[] = [];
    await using client = await connect();
    client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
      if (commandName === 'insert') inserts.push(command.documents.length);
    });
    await using outbox = await open({ db: client.db(database.name) });
    inserts.length = 0;
    await Promise.all(Array.from({ length: 1_200 }, (_, n) => outbox.append([read({ data: { n, many: true } })])));
    expect(await events().countDocuments({ 'data.many': true })).toBe(1_200);
    expect(inserts).toEqual([1, 500, 500, 199]);
  });

  it('takes an event whose id is there as appended, and still writes the others', async () => {
    await using outbox = await open();
    await outbox.append([read({ event_id: 'again', data: { first: true } })]);
    await outbox.append([read({ event_id: 'again', data: { first: false } }), read({ event_id: 'new' })]);
    expect((await events().findOne({ _id: 'again' }))?.data).toEqual({ first: true });
    expect(await events().countDocuments({ _id: 'new' })).toBe(1);
  });

  it('keeps what Kafka does not take, across a restart', async () => {
    const away = await open({ producer: { send: () => Promise.reject(new Error('away')) } });
    await away.append([read({ event_id: 'late' })]);
    await away[Symbol.asyncDispose]();
    expect((await events().findOne({ _id: 'late' }))?.published_at).toBeNull();
    await using _ = await open();
    await published();
  });

  it('says so when it cannot write', async () => {
    const client = await connect();
    const outbox = await open({ db: client.db(database.name) });
    await client.close();
    await expect(outbox.append([read()])).rejects.toMatchObject({ code: 'unavailable' });
    await expect(outbox.append([read({ data: { text: 'x'.repeat(600_000) } })])).rejects.toMatchObject({ code: 'too_large' });
    await outbox[Symbol.asyncDispose]();
  });

  it('lets only published events go, after the days that are set', async () => {
    const expiry = (await events().indexes()).find(({ name }) => name === 'published_expiry');
    expect(expiry).toMatchObject({ key: { published_at: 1 }, expireAfterSeconds: 30 * 86_400 });
  });
});
