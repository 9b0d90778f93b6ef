import { createOutbox, type EventDocument, type OwnEvent } from '@biz/eventstore';
import { serviceContext } from '@biz/rpc';
import { traceContext } from '@biz/service';
import { engines, until } from '@biz/testing';
import { type Db, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReadLog, type OpenReadDocument, type ReadLog } from './reads/read-log.ts';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;
const auditorA = contextOf(['auditor'], ['company-a']);
const dpoA = contextOf(['dpo'], ['company-a']);
const dpoB = contextOf(['dpo'], ['company-b']);
const document = '529.982.247-25';
const email = 'zuleica.prado@example.com';

beforeAll(async () => {
  audit = await auditHarness();
  const own = (n: number, company_id: string) =>
    envelope({ payload: { id: `c-${n}` }, metadata: { company_id, ownership_id: `own-${n}`, owner_id: 'u-7' } });
  const values = [own(1, 'company-a'), own(2, 'company-a'), own(3, 'company-a'), own(1, 'company-b')];
  await audit.send(values);
  const service = await audit.start();
  call = audit.client(service.address);
  await until(async () => (await audit.collections.logs.findOne())?.next_offset === values.length, { what: 'the log' });
});
afterAll(() => audit[Symbol.asyncDispose]());

const events = () => audit.database.db.collection<EventDocument>('events');
const openReads = () => audit.database.db.collection<OpenReadDocument>('open_reads');
/** What was recorded of reads since then. */
async function readsAfter(count: number): Promise<EventDocument[]> {
  return (await events().find({ type: 'audit.read' }).sort({ _id: 1 }).toArray()).slice(count);
}
const counted = () => events().countDocuments({ type: 'audit.read' });
const recorded = () => audit.collections.events.countDocuments({ kind: 'event', event_type: 'audit.read' });

describe('a read', () => {
  it('is durable when its answer comes, and becomes a record that the company finds', async () => {
    const before = await counted();
    await call('ListRecords', { event_type: 'card.created', page_size: 2, order: 'asc' }, auditorA);
    const [event] = await readsAfter(before);
    expect(event?.meta).toMatchObject({ owner_id: 'u-test', owner_role: 'auditor', owner_ip: '203.0.113.1', company_id: 'company-a' });
    interface Read {
      items?: { payload: string; owner_id: string; owner_ip: string }[];
    }
    const found = await until(
      async () => {
        const { items = [] } = await call<Read>('ListRecords', { entity_type: 'audit_read', entity_id: event?._id }, auditorA);
        return items[0];
      },
      { what: 'the record of the read' },
    );
    expect(found).toMatchObject({ owner_id: 'u-test', owner_ip: '203.0.113.1' });
    expect(JSON.parse(found.payload)).toMatchObject({
      route: 'GET /v1/audit/records',
      filters: { event_type: 'card.created', page_size: 2, order: 'asc' },
      count: 2,
      ownership_ids: ['own-1', 'own-2'],
      outcome: 'answered',
    });
    const foreign = await call<Read>('ListRecords', { entity_type: 'audit_read' }, dpoB);
    expect(foreign.items ?? []).toEqual([]);
  });

  it('makes one event and no more, also when reads are read', async () => {
    const before = await counted();
    for (let n = 0; n < 3; n += 1) await call('ListRecords', { event_type: 'audit.read' }, auditorA);
    await until(async () => (await recorded()) === (await counted()), { what: 'all reads to be recorded' });
    expect((await counted()) - before).toBe(3);
  });

  it('of proofs and checkpoints is none', async () => {
    await until(() => audit.collections.checkpoints.findOne(), { what: 'a checkpoint' });
    const before = await counted();
    await call('ListLogs', {}, auditorA);
    await call('GetVerificationKey', {}, auditorA);
    await call('GetCheckpoint', { log_id: `${audit.topic}-0` }, auditorA);
    expect(await counted()).toBe(before);
  });

  it('by a service is one, too', async () => {
    const before = await counted();
    const service = serviceContext('reports', traceContext(), { company_id: 'company-b' });
    await call('GetOwnership', { ownership_id: 'own-1' }, service);
    const [event] = await readsAfter(before);
    expect(event?.meta).toMatchObject({ owner_id: 'reports', owner_type: 'service', company_id: 'company-b' });
    expect(event?.data).toMatchObject({ count: 1, ownership_ids: ['own-1'], peer: 'gateway' });
  });

  it('that finds nothing is recorded, one that is refused is not', async () => {
    const before = await counted();
    await expect(call('GetRecord', { record_id: 'audit-0.9' }, dpoB)).rejects.toMatchObject({ code: 'not_found' });
    await expect(call('ListRecords', { from: 'yesterday' }, dpoB)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(call('ListRecords', {}, contextOf(['user'], ['company-a']))).rejects.toMatchObject({ code: 'no_role' });
    expect((await readsAfter(before)).map(({ data }) => [data.outcome, data.count])).toEqual([['not_found', 0]]);
  });

  it('by a document or an e-mail address leaves neither anywhere', async () => {
    const before = await counted();
    await call('LookupOwnership', { document }, dpoA);
    await call('LookupOwnership', { email }, dpoA);
    await call('ListRecords', { ownership_id: document }, dpoA);
    expect((await readsAfter(before)).map(({ data }) => data.filters)).toEqual([
      { document: { withheld: true } },
      { email: { withheld: true } },
      { ownership_id: { withheld: true } },
    ]);
    await until(async () => (await recorded()) === (await counted()), { what: 'all reads to be recorded' });
    for (const { name } of await audit.database.db.listCollections().toArray()) {
      const text = JSON.stringify(await audit.database.db.collection(name).find().toArray());
      expect([name, [document, '52998224725', email].filter((secret) => text.includes(secret))]).toEqual([name, []]);
    }
  });

  it('is found by whose data it showed, within the company', async () => {
    await call('ListRecords', { ownership_id: 'own-3' }, dpoA);
    await call('ListRecords', { event_type: 'card.created' }, auditorA);
    await call('ListRecords', { ownership_id: 'own-2' }, dpoA);
    await until(async () => (await recorded()) === (await counted()), { what: 'all reads to be recorded' });
    interface Reads {
      items?: { record_id: string; payload: string }[];
      next_page_token?: string;
      searched?: number;
    }
    const reads = (who: typeof dpoA, more: object = {}) => call<Reads>('ListOwnershipReads', { ownership_id: 'own-3', ...more }, who);
    const filters = (answer: Reads) => (answer.items ?? []).map(({ payload }) => JSON.parse(payload).filters);
    const all = await reads(dpoA);
    expect(filters(all).slice(0, 2)).toEqual([{ event_type: 'card.created' }, { ownership_id: 'own-3' }]);
    expect(all.searched).toBeGreaterThan(all.items?.length ?? 0);
    const pages: string[] = [];
    const to = new Date(Date.now() + 60_000).toISOString();
    for (let page_token: string | undefined = ''; page_token !== undefined; ) {
      const page: Reads = await reads(dpoA, {
        page_size: 1,
        to,
        ...(page_token && { page_token }),
      });
      pages.push(...(page.items ?? []).map(({ record_id }) => record_id));
      page_token = page.next_page_token || undefined;
    }
    expect(pages).toEqual(all.items?.map(({ record_id }) => record_id));
    expect((await reads(dpoB)).items ?? []).toEqual([]);
    await expect(reads(dpoB, { page_token: (await reads(dpoA, { page_size: 1 })).next_page_token })).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  it('is refused when it cannot be recorded', async () => {
    const validate = (validator: object) => audit.database.db.command({ collMod: 'events', validator });
    await validate({ never: true });
    try {
      await expect(call('ListRecords', {}, auditorA)).rejects.toMatchObject({ code: 'unavailable' });
      await expect(call('GetRecord', { record_id: 'audit-0.9' }, auditorA)).rejects.toMatchObject({ code: 'unavailable' });
    } finally {
      await validate({});
    }
    await call('ListRecords', {}, auditorA);
  });
});

describe('a read that takes a while', () => {
  const event = (id: string, count: number, outcome: string): OwnEvent => ({
    event_id: id,
    type: 'audit.read',
    entity_type: 'audit_read',
    action_type: 'new',
    company_id: 'company-a',
    data: { count, outcome },
    context: auditorA,
  });

  const openOutbox = (db: Db) => {
    const identity = { service: 'audit_service', instance: 'test' };
    const producer = audit.bus.producer();
    return createOutbox({ db, producer, topic: audit.topic, identity, environment: 'test', keepDays: 30, log: { warn: () => undefined } });
  };

  /** Longer than the database or this process lets a beat wait, however busy they are. */
  const PATIENCE_MS = 3_000;

  /** A process that looks after its reads often, and can be killed. */
  async function processLike(): Promise<ReadLog & { kill: () => Promise<void> }> {
    const client = await new MongoClient(engines().mongodbUrl, { serverSelectionTimeoutMS: 1_000 }).connect();
    const log = { warn: () => undefined };
    const db = client.db(audit.database.name);
    const outbox = await openOutbox(db);
    const reads = createReadLog({ outbox, openReads: db.collection('open_reads'), log, beatMs: 20, patienceMs: PATIENCE_MS });
    const dispose = async () => {
      await reads[Symbol.asyncDispose]();
      await outbox[Symbol.asyncDispose]();
      await client.close();
    };
    // From then on nothing of it reaches the database: what kill -9 looks like from there.
    return { ...reads, kill: () => client.close(), [Symbol.asyncDispose]: dispose };
  }

  it('is recorded with its end', async () => {
    await using one = await processLike();
    const open = await one.begin('read-1', () => event('read-1', 1, 'interrupted'));
    expect(await openReads().countDocuments({ _id: 'read-1' })).toBe(1);
    await open.end(event('read-1', 9, 'answered'));
    expect((await events().findOne({ _id: 'read-1' }))?.data).toEqual({ count: 9, outcome: 'answered' });
    expect(await openReads().countDocuments({ _id: 'read-1' })).toBe(0);
  });

  it('is recorded by others when its process is killed, as far as it had told', async () => {
    await using killed = await processLike();
    let count = 1;
    await killed.begin('read-2', () => event('read-2', count, 'interrupted'));
    count = 500;
    await until(async () => (await openReads().findOne({ _id: 'read-2' }))?.event.data.count === 500, { what: 'a beat' });
    await killed.kill();
    expect(await events().countDocuments({ _id: 'read-2' })).toBe(0);
    await using _one = await processLike();
    await using _two = await processLike();
    await until(async () => (await events().countDocuments({ _id: 'read-2' })) === 1, { what: 'the sweep' });
    expect((await events().findOne({ _id: 'read-2' }))?.data).toEqual({ count: 500, outcome: 'interrupted' });
    await until(async () => (await openReads().countDocuments()) === 0, { what: 'the open read to be closed' });
  });

  it('is not missed while it is being written', async () => {
    const collection = openReads();
    const beatOf = async (id: string) => (await collection.findOne({ _id: id }))?.beat ?? 0;
    const slow = new Proxy(collection, {
      get: (target, name) => {
        if (name !== 'insertOne') return Reflect.get(target, name).bind(target);
        return async (document: OpenReadDocument) => {
          // Others of the process tell twice meanwhile that they go on.
          if (document._id === 'slow') await until(async () => (await beatOf('other')) >= 2, { what: 'two beats' });
          return target.insertOne(document);
        };
      },
    });
    await using outbox = await openOutbox(audit.database.db);
    await using one = createReadLog({ outbox, openReads: slow, log: { warn: () => undefined }, beatMs: 20 });
    const other = await one.begin('other', () => event('other', 1, 'interrupted'));
    const open = await one.begin('slow', () => event('slow', 1, 'interrupted'));
    expect(open.signal.aborted).toBe(false);
    await Promise.all([other.end(event('other', 2, 'answered')), open.end(event('slow', 2, 'answered'))]);
    expect((await events().findOne({ _id: 'slow' }))?.data).toEqual({ count: 2, outcome: 'answered' });
  });

  it('that goes on for long is nobody else’s, and hears when it was taken away', async () => {
    await using one = await processLike();
    await using _other = await processLike();
    const open = await one.begin('read-3', () => event('read-3', 1, 'interrupted'));
    const beatOf = async () => (await openReads().findOne({ _id: 'read-3' }))?.beat ?? 0;
    const since = performance.now();
    await until(() => performance.now() - since > 2 * PATIENCE_MS, { what: 'twice the patience' });
    expect(await beatOf()).toBeGreaterThan(1);
    expect([await events().countDocuments({ _id: 'read-3' }), open.signal.aborted]).toEqual([0, false]);
    await openReads().deleteOne({ _id: 'read-3' });
    await until(() => open.signal.aborted, { what: 'the read to be given up' });
  });
});
