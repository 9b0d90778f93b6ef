import { createBus, type InMessage } from '@biz/bus';
import { readEnvelope } from '@biz/envelope';
import { engines, type TestDatabase, testDatabase, uniqueName, until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEventStore, createLease, createRelay, type EventDocument, type EventStore, publishTo, type RelayOptions } from './index.ts';
import { inOrder } from './relay.ts';
import { change, things } from './testing.ts';

let database: TestDatabase;
const opened: EventStore[] = [];
beforeAll(async () => {
  database = await testDatabase('relay');
});
afterAll(async () => {
  await Promise.all(opened.map((store) => store.db.dropDatabase()));
  await database[Symbol.asyncDispose]();
});

async function freshStore(): Promise<EventStore> {
  const db = database.client.db(`${database.name}_${uniqueName('r').slice(-8)}`);
  const store = createEventStore({ db, entities: things, marks: ['synced_at'] });
  opened.push(store);
  await store.ensureIndexes();
  return store;
}

/** A relay that keeps what it delivered. */
function collecting(store: EventStore, over: Partial<RelayOptions> = {}) {
  const delivered: EventDocument[] = [];
  const deliver = async (batch: EventDocument[]) => void delivered.push(...batch);
  const relay = createRelay({ store, mark: 'published_at', deliver, pollMs: 20, leaseMs: 200, maxBackoffMs: 50, ...over });
  return { relay, delivered, [Symbol.asyncDispose]: () => relay.stop() };
}
const drained = (store: EventStore) =>
  until(async () => (await store.events.countDocuments({ published_at: null })) === 0, { what: 'all events to be published' });

describe('a relay', () => {
  test('delivers each stream in order, marks, and is woken by an append', async () => {
    const store = await freshStore();
    for (let n = 0; n < 30; n += 1) await store.execute(change(`s${n % 4}`, { n }));
    await using waiting = collecting(store, { batchSize: 4, pollMs: 60_000 });
    await drained(store);
    await store.execute(change('s0', { late: true }));
    await drained(store);
    expect(waiting.delivered).toHaveLength(31);
    for (const stream of new Set(waiting.delivered.map(({ stream_id }) => stream_id))) {
      const versions = waiting.delivered.filter(({ stream_id }) => stream_id === stream).map(({ version }) => version);
      expect(versions).toEqual(versions.map((_, at) => at + 1));
    }
    expect(await waiting.relay.lag()).toEqual({ count: 0, oldest_ms: 0 });
    expect(await store.events.countDocuments({ synced_at: null })).toBe(31);
  });

  test('whose target is away holds up nothing, says how far behind it is, and drains in order after', async () => {
    const store = await freshStore();
    let away = true;
    const delivered: string[] = [];
    await using failing = collecting(store, {
      deliver: async (batch) => {
        if (away) throw new Error('away');
        delivered.push(...batch.map(({ _id }) => _id));
      },
    });
    for (let n = 0; n < 10; n += 1) await store.execute(change('x', { n }));
    expect(await failing.relay.lag()).toMatchObject({ count: 10 });
    away = false;
    await drained(store);
    const ids = await store.events
      .find({})
      .sort({ version: 1 })
      .map(({ _id }) => _id)
      .toArray();
    expect(delivered).toEqual(ids);
  });

  test('folds into current what a crash left out, before it marks', async () => {
    const store = await freshStore();
    const { entity } = await store.execute(change('y', { n: 1 }));
    await store.current.deleteMany({});
    await using _ = collecting(store);
    await drained(store);
    expect(await store.current.findOne({ _id: 'y' })).toEqual(entity);
  });

  test('leaves out what follows an event that its scan had not met', async () => {
    const store = await freshStore();
    await store.execute(change('z', { n: 1 }));
    await store.execute(change('z', { n: 2 }));
    await store.execute(change('other', {}));
    const found = await store.events.find({}).sort({ _id: 1 }).toArray();
    const kept = await inOrder(store, 'published_at', found.slice(1));
    expect(kept.map(({ stream_id }) => stream_id)).toEqual(['thing:other']);
    await store.events.updateOne({ _id: found[0]?._id ?? '' }, { $set: { published_at: new Date() } });
    expect(await inOrder(store, 'published_at', found.slice(1))).toHaveLength(2);
  });

  test('with another mark serves another reactor on its own', async () => {
    const store = await freshStore();
    await store.execute(change('two', {}));
    await using published = collecting(store, { deliver: () => Promise.reject(new Error('away')) });
    await using synced = collecting(store, { mark: 'synced_at' });
    await until(() => synced.delivered.length === 1, { what: 'the other reactor' });
    await until(async () => (await store.events.countDocuments({ synced_at: null })) === 0, { what: 'its mark' });
    expect(await published.relay.lag()).toMatchObject({ count: 1 });
  });
});

describe('the lease', () => {
  test('lets one relay work; when that one stops the other goes on at once', async () => {
    const store = await freshStore();
    const first = collecting(store, { leaseMs: 60_000 });
    await store.execute(change('a', {}));
    await drained(store);
    await using second = collecting(store, { leaseMs: 60_000 });
    await store.execute(change('a', {}));
    await drained(store);
    expect([first.delivered.length, second.delivered.length]).toEqual([2, 0]);
    await first.relay.stop();
    await store.execute(change('a', {}));
    await drained(store);
    expect([first.delivered.length, second.delivered.length]).toEqual([2, 1]);
  });

  test('goes over when its holder stands still, and the holder that wakes up sees it', async () => {
    const store = await freshStore();
    const lease = (leaseMs: number) => createLease({ db: store.db, name: 'work', leaseMs });
    const [stuck, next] = [lease(150), lease(150)];
    expect([await stuck.hold(), await next.hold()]).toEqual([true, false]);
    await until(() => next.hold(), { what: 'the takeover' });
    await until(async () => !(await stuck.hold()), { what: 'the old holder to see it' });
    expect(await next.hold()).toBe(true);
  });

  test('is kept by a holder whose work takes longer than the lease', async () => {
    const store = await freshStore();
    // renewed every 0.5 s: a database that is slow for a moment is no holder that is gone
    const [busy, other] = [1, 2].map(() => createLease({ db: store.db, name: 'long', leaseMs: 1_500 }));
    expect(await busy?.hold()).toBe(true);
    const { promise: end, resolve } = Promise.withResolvers<void>();
    const work = busy?.keep(() => end);
    const beats = async () => (await store.db.collection<{ _id: string; beat: number }>('leases').findOne({ _id: 'long' }))?.beat ?? 0;
    const taken: unknown[] = [];
    await until(
      async () => {
        taken.push(await other?.hold());
        return (await beats()) > 5;
      },
      { what: 'several renewals', intervalMs: 100 },
    );
    resolve();
    await work;
    expect(new Set(taken)).toEqual(new Set([false]));
  });
});

test('published to Kafka: the envelope under the entity’s key, in order', async () => {
  const store = await freshStore();
  const topic = uniqueName('relay');
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  await using bus = createBus({ brokers: engines().kafkaBrokers, clientId: 'relay-test', log });
  await bus.ensureTopics([{ topic, partitions: 3 }]);
  for (let n = 0; n < 20; n += 1) await store.execute(change(`k${n % 4}`, { n, text: 'x'.repeat(100_000) }));
  const instance = '5f0c6a3e-5c0e-4b0b-9a55-0d6a4a1f2f11';
  await using _ = collecting(store, { deliver: publishTo(bus.producer(), topic, { service: 'thing_service', instance }) });
  await drained(store);
  const messages: InMessage[] = [];
  await using consumer = bus.consumer({
    groupId: uniqueName('relay-group'),
    topics: [topic],
    batch: async (batch) => void messages.push(...batch.messages),
    onFatal: (error) => expect.unreachable(error.message),
  });
  await until(() => messages.length === 20, { what: 'all messages' });
  expect(consumer.joined).toBe(true);
  const first = messages.find(({ key }) => key?.toString() === 'k0');
  const read = readEnvelope({ value: first?.value ?? Buffer.alloc(0), headers: first?.headers ?? {} });
  expect(read).toMatchObject({
    ok: true,
    event: { entity_id: 'k0', entity_version: 1, producer_service: 'thing_service', sealing: 'fields' },
  });
  for (const key of ['k0', 'k1', 'k2', 'k3']) {
    const versions = messages
      .filter((one) => one.key?.toString() === key)
      .map(({ value }) => JSON.parse(String(value)).metadata.entity_version);
    expect(versions).toEqual([1, 2, 3, 4, 5]);
  }
});
