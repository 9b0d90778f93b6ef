import { envelopeOf } from '@biz/envelope';
import { type JsonObject, parseJson } from '@biz/json';
import { type TestDatabase, testDatabase, until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createEventStore, createRelay, type EventDocument, type EventStore, type RestoredEvent } from './index.ts';
import { change, draft, things } from './testing.ts';

let database: TestDatabase;
let store: EventStore;
beforeAll(async () => {
  database = await testDatabase('restore');
  store = createEventStore({ db: database.db, entities: things, marks: ['synced_at'] });
});
afterAll(() => database[Symbol.asyncDispose]());

const blind_indexes = { email_everywhere: 'a'.repeat(64), email: 'b'.repeat(64) };
const idempotency = { actor: 'u1', key: 'k1', hash: 'h' };
beforeEach(async () => {
  await database.db.dropDatabase();
  await store.ensureIndexes();
  await store.execute(change('one', { code: 'A', list: [1, -0.5, null], 10: 'x', 9: 'y' }, { idempotency, fence: () => 'order' }));
  await store.execute(change('one', {}, { decide: () => draft('updated', { email: { sealed: 's1.x' } }, { blind_indexes }) }));
  await store.execute(change('one', { code: 'B' }));
  await store.execute(change('two', JSON.parse('{"__proto__":{"p":1},"$where":"x","a.b":9007199254740991}')));
});

/** What the audit would give: the envelopes, newest first. */
async function recorded(over: (event: EventDocument) => EventDocument = (event) => event): Promise<RestoredEvent[]> {
  const events = await store.events.find({}).sort({ _id: -1 }).toArray();
  return events.map((event) => ({ envelope: parseJson(envelopeOf(over(event), { service: 'thing_service', instance: 'i' }).value) }));
}
async function bytes(collection: 'events' | 'current'): Promise<string[]> {
  const raw = (await database.db.collection(collection).find({}, { raw: true }).sort({ _id: 1 }).toArray()) as unknown as Uint8Array[];
  return raw.map((one) => Buffer.from(one).toString('hex'));
}
const none = { count: 0, ids: [] };

test('events that are gone are there again with every field that an envelope has, and the state with the same bytes', async () => {
  const [before, current, envelopes] = [await store.events.find({}).sort({ _id: 1 }).toArray(), await bytes('current'), await recorded()];
  await store.events.drop();
  await store.current.drop();
  await store.ensureIndexes();
  const report = await store.restore(envelopes);
  expect(report).toMatchObject({ events: 4, missing: { count: 4 }, differing: none, refused: none, without_address: 0, erased: 0 });
  const after = await store.events.find({}).sort({ _id: 1 }).toArray();
  const lasting = ({ idempotency: _, fence: __, published_at, synced_at, meta, ...rest }: EventDocument & { synced_at?: Date | null }) =>
    JSON.stringify({ ...rest, meta: { ...meta, traceparent: '' } });
  expect(after.map(lasting)).toEqual(before.map(lasting));
  for (const event of after as (EventDocument & { synced_at: Date })[]) {
    expect([event.published_at, event.synced_at]).toEqual([expect.any(Date), expect.any(Date)]);
    expect([event.idempotency, event.fence]).toEqual([undefined, undefined]);
    expect(event.meta.traceparent).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-00$/);
  }
  await store.rebuild();
  expect(await bytes('current')).toEqual(current);
});

test('what is there stays as it is, and a repetition finds everything', async () => {
  const envelopes = await recorded();
  await store.events.deleteOne({ stream_id: 'thing:one', version: 2 });
  const before = await bytes('events');
  expect((await store.restore(envelopes, { dryRun: true })).missing.count).toBe(1);
  expect(await bytes('events')).toEqual(before);
  expect(await store.restore(envelopes)).toMatchObject({ missing: { count: 1 }, differing: none });
  const whole = await bytes('events');
  expect(whole).toEqual(expect.arrayContaining(before));
  expect(await store.restore(envelopes)).toMatchObject({ missing: none, differing: none });
  expect(await bytes('events')).toEqual(whole);
});

test.each([
  ['other content', (event: EventDocument) => ({ ...event, data: { ...event.data, code: 'Z' } })],
  ['another address', (event: EventDocument) => ({ ...event, meta: { ...event.meta, owner_ip: '198.51.100.1' } })],
  ['another blind index', (event: EventDocument) => ({ ...event, meta: { ...event.meta, blind_indexes: { email: 'c'.repeat(64) } } })],
  ['another id in its version', (event: EventDocument) => ({ ...event, _id: event._id.replace(/^./, 'f') })],
])('an event with %s is reported, never changed', async (_, over) => {
  const before = await bytes('events');
  const envelopes = await recorded(over);
  for (const dryRun of [true, false]) {
    expect(await store.restore(envelopes, { dryRun })).toMatchObject({ missing: none, differing: { count: 4 } });
  }
  expect(await bytes('events')).toEqual(before);
});

test('what the audit no longer has is left out and counted, and no reason to call an event another', async () => {
  const envelopes = (await recorded()).map(({ envelope }) => {
    const { owner_ip: _, blind_indexes: __, ...metadata } = (envelope as JsonObject).metadata as JsonObject;
    return { envelope: { ...(envelope as JsonObject), metadata }, erased: ['owner_ip', 'extra'] };
  });
  expect(await store.restore(envelopes)).toMatchObject({ missing: none, differing: none });
  await store.events.deleteMany({});
  expect(await store.restore(envelopes)).toMatchObject({ missing: { count: 4 }, without_address: 4, erased: 4 });
  expect(await store.events.distinct('meta.owner_ip')).toEqual(['0.0.0.0']);
});

test('what is not an event of this service is refused', async () => {
  const foreign = await recorded((event) => ({ ...event, meta: { ...event.meta, entity_type: 'invoice' } }));
  const unsealed = (await recorded()).map(({ envelope }) => ({
    envelope: { ...(envelope as JsonObject), metadata: { ...((envelope as JsonObject).metadata as JsonObject), sealing: null } },
  }));
  await store.events.deleteMany({});
  expect(await store.restore([...foreign, ...unsealed, { envelope: null }])).toMatchObject({ missing: none, refused: { count: 9 } });
  expect(await store.events.countDocuments({})).toBe(0);
});

test('nothing is decided on half of a past: until the first event of an entity is in, it is unavailable', async () => {
  const [third, second, first] = (await recorded()).filter(({ envelope }) => JSON.stringify(envelope).includes('"entity_id":"one"'));
  await store.events.deleteMany({});
  await store.current.deleteMany({});
  for (const part of [third, second]) {
    await store.restore([part as RestoredEvent]);
    await expect(store.load('thing', 'one')).rejects.toMatchObject({ code: 'unavailable' });
    await expect(store.execute(change('one', { n: 1 }))).rejects.toMatchObject({ code: 'unavailable' });
  }
  await store.restore([first as RestoredEvent]);
  expect((await store.execute(change('one', { n: 1 }))).entity).toMatchObject({ version: 4, state: { code: 'B', n: 1 } });
});

test('restored events are not delivered again, new ones are', async () => {
  const envelopes = await recorded();
  await store.events.deleteMany({});
  await store.restore(envelopes);
  const delivered: string[] = [];
  const deliver = async (batch: EventDocument[]) =>
    void delivered.push(...batch.map(({ stream_id, version }) => `${stream_id} ${version}`));
  const relays = (['published_at', 'synced_at'] as const).map((mark) => createRelay({ store, mark, deliver, pollMs: 10 }));
  await store.execute(change('two', { n: 1 }));
  await until(() => delivered.length >= 2, { what: 'the new event at both reactors' });
  await Promise.all(relays.map((relay) => relay.stop()));
  expect(delivered).toEqual(['thing:two 2', 'thing:two 2']);
});
