import { type TestDatabase, testDatabase, until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CurrentDocument, createEventStore, type EventStore, type EventStoreOptions, type RebuildReport } from './index.ts';
import { change, draft, things } from './testing.ts';

let database: TestDatabase;
let store: EventStore;
const open = (over: Partial<EventStoreOptions> = {}) =>
  createEventStore({ db: database.db, entities: things, lookups: ['code', 'document'], marks: ['synced_at'], ...over });
/** The bytes of `current` in hex, by id. */
async function bytes(): Promise<Map<string, string>> {
  const raw = (await store.current.find({}, { raw: true }).sort({ _id: 1 }).toArray()) as unknown as Uint8Array[];
  const ids = await store.current
    .find({})
    .sort({ _id: 1 })
    .map(({ _id }) => _id)
    .toArray();
  return new Map(raw.map((one, at) => [ids[at] ?? '', Buffer.from(one).toString('hex')]));
}
const findings = ({ types, claims, duplicates }: RebuildReport) => ({ ...types.thing, claims, duplicates });
const none = { count: 0, ids: [] };
const one = (id: string) => ({ count: 1, ids: [id] });

beforeAll(async () => {
  database = await testDatabase('rebuild');
  store = open();
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(async () => {
  await database.db.dropDatabase();
  await store.ensureIndexes();
  await store.execute(change('plain', { name: 'x' }));
  await store.execute(change('coded', { code: 'A1', 10: 'x', 9: 'y' }));
  await store.execute(
    change('coded', {}, { decide: () => draft('updated', { code: 'A2' }, { blind_indexes: { email: 'm', document: 'd' } }) }),
  );
  await store.execute(change('gone', { code: 'G', list: [1, -0.5, null, { a: 1 }], big: 9007199254740991 }));
  await store.execute(change('gone', { status: 'deleted' }));
  await store.execute(change('odd', JSON.parse('{"$where":"x","a.b":{"$ne":1},"__proto__":{"p":1},"text":"\\u0000\\r\\n"}')));
});

describe('rebuild', () => {
  test('makes a destroyed collection again, byte for byte, claims included', async () => {
    const before = await bytes();
    await store.current.drop();
    await store.claims.drop();
    const report = await store.rebuild();
    expect(await bytes()).toEqual(before);
    expect(report.events).toBe(6);
    expect(findings(report)).toMatchObject({
      entities: 4,
      missing: { count: 4 },
      differing: none,
      extra: none,
      claims: 1,
      duplicates: none,
    });
    await expect(store.execute(change('thief', { code: 'A2' }))).rejects.toMatchObject({ code: 'already_exists' });
  });

  test('writes what differs and removes what has no events, and nothing else', async () => {
    const before = await bytes();
    await store.current.updateOne({ _id: 'odd' }, { $set: { more: 1 } });
    await store.current.insertOne({ ...(await store.current.findOne({ _id: 'plain' })), _id: 'orphan' } as CurrentDocument);
    expect(findings(await store.rebuild())).toMatchObject({ entities: 4, missing: none, differing: one('odd'), extra: one('orphan') });
    expect(await bytes()).toEqual(before);
    expect(findings(await store.rebuild())).toMatchObject({ missing: none, differing: none, extra: none, claims: 0 });
  });

  test.each([
    ['another order of fields', { $rename: { version: 'v', status: 's' } }, { $rename: { v: 'version', s: 'status' } }],
    ['another value', { $set: { 'state.name': 'y' } }, {}],
    ['another kind of number', { $mul: { version: 1.5 } }, { $mul: { version: 1 / 1.5 } }],
  ])('sees %s', async (_, first, second) => {
    const before = await bytes();
    await store.current.updateOne({ _id: 'plain' }, first);
    if (Object.keys(second).length > 0) await store.current.updateOne({ _id: 'plain' }, second);
    expect(await bytes()).not.toEqual(before);
    expect(findings(await store.rebuild({ dryRun: true }))).toMatchObject({ differing: one('plain'), missing: none });
    await store.rebuild();
    expect(await bytes()).toEqual(before);
  });

  test('of one entity leaves the others alone', async () => {
    const before = await bytes();
    await store.current.deleteMany({});
    const report = await store.rebuild({ entity: { entityType: 'thing', entityId: 'coded' } });
    expect(findings(report)).toMatchObject({ entities: 1, missing: one('coded'), extra: none });
    expect(await bytes()).toEqual(new Map([['coded', before.get('coded')]]));
  });

  test('does not throw away a state of which no event is left', async () => {
    const before = await bytes();
    await store.events.drop();
    await expect(store.rebuild()).rejects.toMatchObject({ code: 'conflict' });
    expect(await bytes()).toEqual(before);
    expect(findings(await store.rebuild({ dryRun: true }))).toMatchObject({ entities: 0, extra: { count: 4 } });
  });

  test('of unique values that two entities have names both, and changes neither', async () => {
    await store.claims.drop();
    await store.execute(change('second', { code: 'A2' }));
    await store.claims.drop();
    const report = await store.rebuild();
    expect(report.duplicates).toEqual(one('thing:second'));
  });
});

describe('a dry run', () => {
  test('says what differs, is missing and has no events, and changes nothing', async () => {
    await store.current.updateOne({ _id: 'odd' }, { $set: { 'state.x': 1 } });
    await store.current.deleteOne({ _id: 'coded' });
    await store.current.insertOne({ ...(await store.current.findOne({ _id: 'plain' })), _id: 'orphan' } as CurrentDocument);
    await store.claims.drop();
    const before = await bytes();
    const report = await store.rebuild({ dryRun: true });
    expect(findings(report)).toEqual({
      ...{ entities: 4, differing: one('odd'), missing: one('coded'), extra: one('orphan'), incomplete: none },
      ...{ claims: 1, duplicates: none },
    });
    expect(await bytes()).toEqual(before);
    expect(await store.claims.countDocuments({})).toBe(0);
  });

  test('names the first 20 ids and counts all', async () => {
    for (let n = 0; n < 25; n += 1) await store.execute(change(`many-${n}`, {}));
    await store.current.drop();
    const { missing } = (await store.rebuild({ dryRun: true })).types.thing ?? {};
    expect([missing?.count, missing?.ids.length]).toEqual([29, 20]);
  });
});

describe('a stream that lacks an event', () => {
  beforeEach(async () => {
    for (const n of [1, 2, 3]) await store.execute(change('torn', { [`n${n}`]: n }));
    await store.events.deleteOne({ stream_id: 'thing:torn', version: 2 });
  });

  test.each([2, 1])('(number %i) is reported, and its state stays as it is', async (version) => {
    await store.events.deleteOne({ stream_id: 'thing:torn', version });
    const before = await bytes();
    await store.current.deleteOne({ _id: 'plain' });
    expect(findings(await store.rebuild())).toMatchObject({ entities: 4, missing: one('plain'), incomplete: one('torn'), extra: none });
    expect(await bytes()).toEqual(before);
  });

  test('is never folded over the gap: commands and reads are unavailable, others go on', async () => {
    await store.current.deleteOne({ _id: 'torn' });
    await expect(store.load('thing', 'torn')).rejects.toMatchObject({ code: 'unavailable' });
    await expect(store.loadAt('thing', 'torn', 3)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(store.execute(change('torn', { n4: 4 }))).rejects.toMatchObject({ code: 'unavailable' });
    expect((await store.loadAt('thing', 'torn', 1))?.version).toBe(1);
    await store.current.deleteOne({ _id: 'plain' });
    expect(await store.repair('all')).toBe(2);
    expect([...(await bytes()).keys()]).toEqual(['coded', 'gone', 'odd', 'plain']);
  });
});

describe('a command at the same moment', () => {
  /** A store whose next call of a method of `current` finds that something else has just happened. */
  function meanwhile(method: 'bulkWrite' | 'insertMany', happens: () => Promise<unknown>): EventStore {
    const racing = open();
    const own = racing.current[method].bind(racing.current) as (...args: unknown[]) => Promise<unknown>;
    Object.assign(racing.current, { [method]: async (...args: unknown[]) => [await happens(), await own(...args)][1] });
    return racing;
  }

  test('is not undone by the replacement of what differed', async () => {
    await store.current.updateOne({ _id: 'plain' }, { $set: { more: 1 } });
    await meanwhile('bulkWrite', () => store.execute(change('plain', { n: 1 }))).rebuild();
    expect(await store.current.findOne({ _id: 'plain' })).toMatchObject({ version: 2, state: { name: 'x', n: 1 } });
  });

  test('is not undone by the insertion of what was missing', async () => {
    const before = await bytes();
    await store.current.deleteMany({});
    await meanwhile('insertMany', () => store.execute(change('plain', { n: 1 }))).rebuild();
    expect(await store.current.findOne({ _id: 'plain' })).toMatchObject({ version: 2, state: { name: 'x', n: 1 } });
    expect([...(await bytes()).keys()]).toEqual([...before.keys()]);
  });

  test('that has not yet written its state is no difference', async () => {
    const behind = await store.current.findOne({ _id: 'plain' });
    const { entity } = await store.execute(change('plain', { n: 1 }));
    await store.current.replaceOne({ _id: 'plain' }, behind as CurrentDocument);
    const racing = open();
    const find = racing.current.find.bind(racing.current) as unknown as (...args: unknown[]) => { toArray: () => Promise<unknown[]> };
    let looks = 0;
    const watched = (...args: unknown[]) => {
      const cursor = find(...args);
      const toArray = cursor.toArray.bind(cursor);
      cursor.toArray = async () => {
        looks += 1;
        if (looks === 2) await store.current.replaceOne({ _id: 'plain' }, entity);
        return toArray();
      };
      return cursor;
    };
    Object.assign(racing.current, { find: watched });
    expect(findings(await racing.rebuild({ dryRun: true }))).toMatchObject({ differing: none, missing: none });
  });
});

test('commands go on while everything is made again, and no state goes back', async () => {
  await store.current.drop();
  let going = true;
  const writers = ['plain', 'coded', 'new'].map(async (id) => {
    for (let n = 0; going; n += 1) await open().execute(change(id, { n }, { retries: 50 }));
  });
  for (let round = 0; round < 3; round += 1) await store.rebuild();
  // one that looks several times while a write of a slow database is under way may take it for a difference
  const during = until(
    async () => {
      const found = findings(await store.rebuild({ dryRun: true }));
      expect(found).toMatchObject({ differing: none, missing: none, extra: none, incomplete: none });
      return found;
    },
    { what: 'a dry run that sees no difference' },
  );
  await during.finally(() => {
    going = false;
  });
  await Promise.all(writers);
  expect(findings(await store.rebuild({ dryRun: true }))).toMatchObject({ entities: 5, differing: none, missing: none, extra: none });
});
