import { randomUUID } from 'node:crypto';
import type { EventDocument } from '@biz/eventstore';
import { engines, until } from '@biz/testing';
import { type CommandStartedEvent, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOutbox, type Outbox, type OutboxOptions, type OwnEvent } from './outbox.ts';
import { type AuditHarness, auditHarness, contextOf } from './testing/harness.ts';

let audit: AuditHarness;
const context = contextOf(['dpo'], ['company-a']);
const log = { warn: () => undefined };

beforeAll(async () => {
  audit = await auditHarness();
});
afterAll(() => audit[Symbol.asyncDispose]());

const events = () => audit.database.db.collection<EventDocument>('events');
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
    db: audit.database.db,
    producer: audit.bus.producer(),
    topic: audit.topic,
    identity: { service: 'audit_service', instance: randomUUID() },
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
  it('makes a record of each event, as of any producer', async () => {
    await using service = await audit.start();
    await using outbox = await open();
    await outbox.append([read({ event_id: 'n-1' }), read({ company_id: null, event_id: 'n-2' })]);
    await outbox.append([
      read({ type: 'audit_finding.opened', entity_type: 'audit_finding', entity_id: 'f-1', event_id: 'n-3' }),
      read({
        type: 'audit_finding.closed',
        entity_type: 'audit_finding',
        entity_id: 'f-1',
        version: 2,
        action_type: 'disable',
        event_id: 'n-4',
      }),
    ]);
    const records = () => audit.collections.events.find({ kind: 'event', producer_service: 'audit_service' }).sort({ _id: 1 }).toArray();
    const found = await until(async () => ((await records()).length === 4 ? records() : undefined), { what: 'the records' });
    expect(found.map(({ event_id, entity_type, version }) => [event_id, entity_type, version])).toEqual([
      ['n-1', 'audit_read', 1],
      ['n-2', 'audit_read', 1],
      ['n-3', 'audit_finding', 1],
      ['n-4', 'audit_finding', 2],
    ]);
    expect(found[0]).toMatchObject({ ownership_id: 'company-a', owner_id: 'u-test', owner_role: 'dpo', payload: '{"count":3}' });
    expect(found[1]).toMatchObject({ ownership_id: 'n-2', company_id: null });
    expect(await audit.collections.findings.countDocuments()).toBe(0);
    expect(service.address).toMatch(/:\d+$/);
  });

  it('writes what waits at the same time in few inserts, each event once', async () => {
    const inserts: number[] = [];
    await using client = await connect();
    client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
      if (commandName === 'insert') inserts.push(command.documents.length);
    });
    await using outbox = await open({ db: client.db(audit.database.name) });
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
    const outbox = await open({ db: client.db(audit.database.name) });
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
