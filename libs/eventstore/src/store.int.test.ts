import { AppError, toAppError } from '@biz/errors';
import { type TestDatabase, testDatabase } from '@biz/testing';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEventStore, type EventStore, type EventStoreOptions } from './index.ts';
import { change, draft, things } from './testing.ts';

let database: TestDatabase;
let store: EventStore;
const open = (over: Partial<EventStoreOptions> = {}) =>
  createEventStore({ db: database.db, entities: things, lookups: ['code', 'document'], marks: ['synced_at'], ...over });
beforeAll(async () => {
  database = await testDatabase('eventstore');
  store = open();
  await Promise.all([store.ensureIndexes(), store.ensureIndexes()]);
});
afterAll(() => database[Symbol.asyncDispose]());

const versionsOf = (id: string) =>
  store.events
    .find({ stream_id: `thing:${id}` })
    .sort({ stream_id: 1, version: 1 })
    .map((event) => event.version)
    .toArray();
const current = (id: string) => store.current.findOne({ _id: id });

describe('one command', () => {
  test('appends one event with all its marks open, and answers with the fold', async () => {
    const { entity, event, replayed } = await store.execute(change('one', { name: 'x' }));
    expect(entity).toMatchObject({
      _id: 'one',
      entity_type: 'thing',
      version: 1,
      state: { id: 'one', name: 'x' },
      last_event_id: event?._id,
    });
    expect(replayed).toBe(false);
    expect(await store.events.findOne({ stream_id: 'thing:one' })).toMatchObject({
      version: 1,
      type: 'thing.created',
      published_at: null,
      synced_at: null,
    });
    expect(await current('one')).toEqual(entity);
    expect(await store.load('thing', 'one')).toEqual(entity);
  });

  test('that is thought to make something finds out when it is there', async () => {
    const create = (over: object) =>
      change(
        'new',
        { code: 'NEW' },
        {
          creates: true,
          decide: (entity) => {
            if (entity) throw new AppError('already_exists', 'there');
            return draft('created', { id: 'new', code: 'NEW' });
          },
          ...over,
        },
      );
    const idempotency = { actor: 'u1', key: 'new', hash: 'h' };
    const first = await store.execute(create({ idempotency }));
    expect(await store.execute(create({ idempotency }))).toMatchObject({ replayed: true, entity: first.entity });
    await expect(store.execute(create({}))).rejects.toMatchObject({ code: 'already_exists' });
    expect(await store.claims.findOne({ _id: 'c1/NEW' })).toMatchObject({ holders: [first.event?._id] });
  });

  test('that changes nothing appends nothing', async () => {
    await store.execute(change('noop', {}));
    const { entity, event } = await store.execute(change('noop', {}, { decide: () => null }));
    expect([entity.version, event]).toEqual([1, null]);
  });

  test('keeps every kind of key and value as data', async () => {
    const data = JSON.parse(
      '{"$where":"x","a.b":{"$ne":1},"__proto__":{"p":1},"list":[1,-0.5,null,"\\u0000\\r\\n"],"big":9007199254740991}',
    );
    const { entity } = await store.execute(change('odd', data));
    expect(JSON.stringify((await current('odd'))?.state)).toBe(JSON.stringify(entity.state));
    expect(await store.loadAt('thing', 'odd', 1)).toEqual(entity);
  });

  test('too large, or of a caller that went away, is not appended', async () => {
    const large = open({ maxEventBytes: 2000 }).execute(change('large', { text: 'x'.repeat(2000) }));
    await expect(large).rejects.toMatchObject({ code: 'too_large' });
    const gone = store.execute(change('gone', { code: 'GONE' }, { signal: AbortSignal.abort() }));
    await expect(gone).rejects.toThrow();
    expect([await versionsOf('large'), await versionsOf('gone')]).toEqual([[], []]);
    expect(await store.claims.findOne({ _id: 'c1/GONE' })).toBeNull();
  });
});

test('with the engine away a command is refused as unavailable', async () => {
  const away = new MongoClient('mongodb://127.0.0.1:1', { serverSelectionTimeoutMS: 50 });
  const idempotency = { actor: 'u1', key: 'away', hash: 'h' };
  const refused = open({ db: away.db('away') }).execute(change('away', {}, { idempotency }));
  expect(await refused.catch(toAppError)).toMatchObject({ code: 'unavailable' });
  await away.close();
});

describe('versions', () => {
  test('are gapless under writers that race, and none is lost', async () => {
    const writers = Array.from({ length: 12 }, (_, n) => open().execute(change('race', { [`w${n}`]: n }, { retries: 100 })));
    await Promise.all(writers);
    expect(await versionsOf('race')).toEqual(Array.from({ length: 12 }, (_, at) => at + 1));
    expect(Object.keys((await current('race'))?.state ?? {})).toHaveLength(13);
  });

  test('expected by two writers: one wins, the other is told', async () => {
    await store.execute(change('expect', {}));
    const both = [1, 2].map((n) => open().execute(change('expect', { n }, { expectedVersion: 1 })));
    const results = await Promise.allSettled(both);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'version_mismatch' } });
    await expect(store.execute(change('expect', {}, { expectedVersion: 7 }))).rejects.toMatchObject({ code: 'version_mismatch' });
  });

  test('that a command may not retry end in a conflict', async () => {
    await store.execute(change('once', {}));
    const other = () => open().execute(change('once', { other: true }));
    const slow = change('once', { slow: true }, { retries: 0, decide: () => other().then(() => draft('updated', { slow: true })) });
    await expect(store.execute(slow)).rejects.toMatchObject({ code: 'version_conflict' });
  });

  test('a refusal is decided on the newest state, not on a stale fold', async () => {
    const { entity } = await store.execute(change('stale', { open: false }));
    await store.execute(change('stale', { open: true }));
    await store.current.replaceOne({ _id: 'stale' }, entity);
    const refuseUnlessOpen = change(
      'stale',
      {},
      {
        decide: ({ state } = entity) => {
          if (!state.open) throw new AppError('conflict', 'closed');
          return draft('updated', { seen: true });
        },
        expectedVersion: 2,
      },
    );
    expect((await store.execute(refuseUnlessOpen)).entity.version).toBe(3);
  });
});

describe('an idempotency key', () => {
  const idempotency = (key: string, hash = 'h') => ({ idempotency: { actor: 'u1', key, hash } });

  test('gives the answer of the first time, whatever happened since', async () => {
    const first = await store.execute(change('idem', { n: 1 }, { expectedVersion: 0, ...idempotency('k1') }));
    await store.execute(change('idem', { n: 2 }));
    const again = await store.execute(change('idem', { n: 1 }, { expectedVersion: 0, ...idempotency('k1') }));
    expect(again).toMatchObject({ replayed: true, entity: first.entity });
    const without = await store.execute(change('idem', { n: 1 }, idempotency('k1')));
    expect(without).toMatchObject({ replayed: true, entity: first.entity });
    const noop = await store.execute(change('idem', {}, { decide: () => null, ...idempotency('k1') }));
    expect(noop).toMatchObject({ replayed: true, entity: first.entity });
    expect(await versionsOf('idem')).toEqual([1, 2]);
  });

  test('with another request is refused, and frees what the request had claimed', async () => {
    await store.execute(change('idem2', {}, idempotency('k2')));
    const other = store.execute(change('idem3', { code: 'IDEM3' }, idempotency('k2', 'other')));
    await expect(other).rejects.toMatchObject({ code: 'idempotency_conflict' });
    expect(await store.claims.findOne({ _id: 'c1/IDEM3' })).toBeNull();
    expect((await store.execute(change('idem3', {}, { idempotency: { actor: 'u2', key: 'k2', hash: 'x' } }))).replayed).toBe(false);
  });

  test('sent several times at once makes one change', async () => {
    const all = await Promise.all(Array.from({ length: 6 }, () => open().execute(change('idem4', { code: 'IDEM4' }, idempotency('k4')))));
    expect(await versionsOf('idem4')).toEqual([1]);
    expect(new Set(all.map(({ entity }) => JSON.stringify(entity))).size).toBe(1);
  });
});

describe('the current state', () => {
  test('that was lost or is behind is repaired from what is unpublished, and meanwhile read from the events', async () => {
    const first = await store.execute(change('fix-a', { n: 1 }));
    const last = await store.execute(change('fix-a', { n: 2 }));
    const other = await store.execute(change('fix-b', { n: 1 }));
    await store.current.replaceOne({ _id: 'fix-a' }, first.entity);
    await store.current.deleteOne({ _id: 'fix-b' });
    expect(await store.load('thing', 'fix-b')).toEqual(other.entity);
    expect(await open().repair()).toBeGreaterThanOrEqual(2);
    expect([await current('fix-a'), await current('fix-b')]).toEqual([last.entity, other.entity]);
    expect(await open().repair('all')).toBe(0);
  });

  test('never goes back', async () => {
    const first = await store.execute(change('back', { n: 1 }));
    const last = await store.execute(change('back', { n: 2 }));
    await store.ensureCurrent([first.event, last.event].filter((event) => event !== null));
    expect(await current('back')).toEqual(last.entity);
  });
});

describe('a fence', () => {
  /** At most 10 over all accounts of a company: a rule over many entities. */
  const deposit = (id: string, amount: number) =>
    change(
      id,
      {},
      {
        retries: 50,
        fence: () => 'total:c1',
        decide: async () => {
          const all = await store.current.find({ 'state.amount': { $gt: 0 } }).toArray();
          const total = all.reduce((sum, { state }) => sum + Number(state.amount), 0);
          if (total + amount > 10) throw new AppError('conflict', 'more than 10');
          return draft('updated', { id, amount });
        },
      },
    );

  test('keeps a rule over many entities under writers that race, also when current is behind', async () => {
    const first = await store.execute(deposit('acc-0', 3));
    await store.current.deleteOne({ _id: first.entity._id });
    const results = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => open().execute(deposit(`acc-${n + 1}`, 3))));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    const fences = await store.events.find({ 'fence.key': 'total:c1' }).sort({ 'fence.number': 1 }).toArray();
    expect(fences.map(({ fence }) => fence?.number)).toEqual([1, 2, 3]);
  });
});

describe('indexes', () => {
  const used = async (plan: Promise<object>) => /"indexName":"([^"]+)"/.exec(JSON.stringify(await plan))?.[1];

  test('serve the relay, lists and lookups on this server', async () => {
    expect(await used(store.events.find({ published_at: null }).sort({ _id: 1 }).limit(10).explain())).toBe('published_at_1__id_1');
    const fence = store.events.find({ 'fence.key': 'k' }).sort({ 'fence.key': -1, 'fence.number': -1 }).limit(1);
    expect(await used(fence.explain())).toBe('fence.key_1_fence.number_1');
    const list = { entity_type: 'thing', company_id: 'c1' };
    const order = { created_at: 1, _id: 1 } as const;
    expect(await used(store.current.find(list).sort(order).limit(10).explain())).toBe('entity_type_1_company_id_1_created_at_1__id_1');
    expect(
      await used(
        store.current
          .find({ 'keys.code': 'A', ...list })
          .sort(order)
          .limit(10)
          .explain(),
      ),
    ).toContain('keys.code_1');
  });
});
