import { envelopeOf } from '@biz/envelope';
import { parseJson } from '@biz/json';
import { type TestDatabase, testDatabase } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createEventStore, type EventStore } from './index.ts';
import { change, things, upcastThings } from './testing.ts';

let database: TestDatabase;
/** A release, and the next one, on one database. */
let before: EventStore;
let after: EventStore;
beforeAll(async () => {
  database = await testDatabase('schema');
  const options = { db: database.db, lookups: ['code', 'name'] };
  before = createEventStore({ ...options, entities: things });
  after = createEventStore({ ...options, entities: upcastThings });
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(async () => {
  await database.db.dropDatabase();
  await before.ensureIndexes();
  await after.ensureIndexes();
  await before.execute(change('old', { code: 'A', label: 'x' }));
  await before.execute(change('old', { label: 'y', size: 3 }));
});

const stored = () => after.events.find({}).sort({ _id: 1 }).toArray();
const state = async (store: EventStore, id = 'old') => (await store.load('thing', id))?.state;
async function bytes(): Promise<string[]> {
  const raw = (await after.current.find({}, { raw: true }).sort({ _id: 1 }).toArray()) as unknown as Uint8Array[];
  return raw.map((one) => Buffer.from(one).toString('hex'));
}

describe('events of an earlier schema', () => {
  test("are read as today's, by every way to a state, and stay as they were written", async () => {
    const written = await stored();
    expect(await state(after)).toEqual({ id: 'old', code: 'A', tags: [], name: 'y', size: 3 });
    expect((await after.loadAt('thing', 'old', 1))?.state).toEqual({ id: 'old', code: 'A', tags: [], name: 'x' });
    const [listed] = await after.refreshed(await after.current.find({ 'keys.code': 'A' }).toArray());
    expect(listed).toMatchObject({ version: 2, state: { name: 'y', tags: [] }, keys: { name: 'y' } });
    const { entity, event } = await after.execute(change('old', { tags: ['t'] }));
    expect([entity.state, event?.schema_version]).toEqual([{ id: 'old', code: 'A', tags: ['t'], name: 'y', size: 3 }, '1.2']);
    expect((await stored()).slice(0, 2)).toEqual(written);
    expect(written.map(({ schema_version, data }) => [schema_version, data.label])).toEqual([
      ['1.0', 'x'],
      ['1.0', 'y'],
    ]);
  });

  test('folded by the earlier release are folded again, once; then lists find them', async () => {
    const find = () => after.current.countDocuments({ 'keys.name': 'y' });
    expect(await find()).toBe(0);
    expect(await after.refold()).toBe(1);
    expect([await find(), await after.refold()]).toEqual([1, 0]);
    expect(await after.current.findOne({ _id: 'old' })).toMatchObject({ version: 2, schema_version: '1.2' });
  });

  test('give the same bytes in a rebuild, from the audit too', async () => {
    await after.execute(change('old', { name: 'z' }));
    await after.execute(change('new', { code: 'B', name: 'n', tags: [] }));
    const [folded, events] = [await bytes(), await stored()];
    await after.current.drop();
    expect((await after.rebuild()).types.thing).toMatchObject({ entities: 2, missing: { count: 2 }, incomplete: { count: 0 } });
    expect(await bytes()).toEqual(folded);
    await database.db.dropDatabase();
    await after.ensureIndexes();
    const envelopes = events.toReversed().map((event) => ({
      envelope: parseJson(envelopeOf(event, { service: 'thing_service', instance: 'i' }).value),
    }));
    expect(await after.restore(envelopes)).toMatchObject({ missing: { count: 4 }, differing: { count: 0 } });
    await after.rebuild();
    expect(await bytes()).toEqual(folded);
    expect((await stored()).map(({ schema_version, data }) => [schema_version, data])).toEqual(
      events.map(({ schema_version, data }) => [schema_version, data]),
    );
  });

  test('are no duplicate of a unique value, and keep theirs', async () => {
    await expect(after.execute(change('thief', { code: 'A' }))).rejects.toMatchObject({ code: 'already_exists' });
    await after.execute(change('old', { code: 'B' }));
    await before.execute(change('next', { code: 'A' }));
  });
});

describe('an earlier release beside', () => {
  test('reads later minor versions, and takes nothing away that it does not know', async () => {
    await after.execute(change('old', { colour: 'red', tags: ['t'] }));
    expect(await state(before)).toMatchObject({ colour: 'red', tags: ['t'], size: 3 });
    await before.execute(change('old', { size: 4 }));
    expect(await state(before)).toMatchObject({ colour: 'red', tags: ['t'], size: 4 });
    await database.db.collection('current').drop();
    expect(await state(before)).toMatchObject({ colour: 'red', tags: ['t'], size: 4 });
    expect(await state(after)).toEqual({ id: 'old', code: 'A', colour: 'red', tags: ['t'], size: 4, name: 'y' });
  });

  test("writes folds that are made again, and never one in place of a later release's of that version", async () => {
    await after.refold();
    const good = await bytes();
    await before.ensureCurrent(await stored());
    expect(await bytes()).toEqual(good);
    await before.execute(change('old', { label: 'z' }));
    expect(await after.current.findOne({ _id: 'old' })).not.toHaveProperty('schema_version');
    expect(await state(after)).toEqual({ id: 'old', code: 'A', tags: [], name: 'z', size: 3 });
    expect(await after.refold()).toBe(1);
    expect((await after.rebuild({ dryRun: true })).types.thing).toMatchObject({ differing: { count: 0 }, missing: { count: 0 } });
  });

  test('both write at once: no event, no field is lost', async () => {
    const rounds = 8;
    const write = async (store: EventStore, name: string) => {
      for (let n = 1; n <= rounds; n += 1) await store.execute(change('old', { [name]: n }, { retries: 100 }));
    };
    await Promise.all([write(before, 'b'), write(after, 'a')]);
    for (const store of [before, after]) expect(await state(store)).toMatchObject({ a: rounds, b: rounds });
    expect(await after.load('thing', 'old')).toMatchObject({ version: 2 + 2 * rounds });
    await after.refold();
    expect((await after.rebuild({ dryRun: true })).types.thing).toMatchObject({ differing: { count: 0 } });
  });
});

describe('an event of a later major version', () => {
  beforeEach(async () => {
    await after.execute(change('other', { code: 'O' }));
    await after.execute(change('old', { name: 'z' }));
    await after.events.updateOne({ stream_id: 'thing:old', version: 3 }, { $set: { schema_version: '2.0' } });
  });

  test('is never guessed at: its entity is unavailable, and says what to do; others go on', async () => {
    await after.current.deleteOne({ _id: 'old' });
    const refusal = {
      code: 'unavailable',
      message: expect.stringMatching(/schema version 2\.0; this release reads up to 1\.2\. A later release/),
    };
    await expect(after.load('thing', 'old')).rejects.toMatchObject(refusal);
    await expect(after.execute(change('old', { size: 4 }))).rejects.toMatchObject(refusal);
    expect((await after.loadAt('thing', 'old', 2))?.version).toBe(2);
    await after.execute(change('other', { size: 1 }));
    expect(await after.repair('all')).toBe(1);
  });

  test('is reported by a rebuild, which leaves its entity and makes the others', async () => {
    await after.current.deleteOne({ _id: 'other' });
    const left = await after.current.findOne({ _id: 'old' });
    expect((await after.rebuild()).types.thing).toMatchObject({
      ...{ entities: 1, missing: { ids: ['other'] }, incomplete: { ids: ['old'] }, extra: { count: 0 } },
    });
    expect(await after.current.findOne({ _id: 'old' })).toEqual(left);
  });

  test('is left out when folds are made again', async () => {
    await after.current.updateMany({}, { $unset: { schema_version: '' } });
    expect([await after.refold(), await after.refold()]).toEqual([1, 0]);
  });
});
