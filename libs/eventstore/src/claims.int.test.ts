import { type TestDatabase, testDatabase } from '@biz/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clock, createClaims } from './claims.ts';
import { createEventStore, type EventStore, type EventStoreOptions } from './index.ts';
import { change, draft, things } from './testing.ts';

let database: TestDatabase;
let store: EventStore;
const open = (over: Partial<EventStoreOptions> = {}) =>
  createEventStore({ db: database.db, entities: things, claimPatienceMs: 50, ...over });
beforeAll(async () => {
  database = await testDatabase('claims');
  store = open();
  await store.ensureIndexes();
});
afterAll(() => database[Symbol.asyncDispose]());

const holder = async (code: string) => (await store.claims.findOne({ _id: `c1/${code}` }))?.stream_id ?? null;
/** A claim as a process leaves it that was killed before its append. */
const abandoned = (code: string, stream: string, ageMs = 0) =>
  store.claims.insertOne({ _id: `c1/${code}`, stream_id: stream, holders: ['e0'], claimed_at: new Date(Date.now() - ageMs) });
const deletion = (id: string) => change(id, {}, { decide: () => draft('deleted', { status: 'deleted' }) });

test('a value belongs to one entity, until that one changes it or is deleted', async () => {
  await store.execute(change('a', { code: 'A' }));
  await expect(store.execute(change('b', { code: 'A' }))).rejects.toMatchObject({ code: 'already_exists', faults: [{ path: '/code' }] });
  await store.execute(change('a', { code: 'A2' }));
  expect([await holder('A'), await holder('A2')]).toEqual([null, 'thing:a']);
  await store.execute(change('b', { code: 'A' }));
  await store.execute(deletion('b'));
  await store.execute(change('c', { code: 'A' }));
  expect(await holder('A')).toBe('thing:c');
});

test('of many who want one value at once, one gets it and the others are told so', async () => {
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, n) => open({ claimPatienceMs: 60_000 }).execute(change(`many${n}`, { code: 'MANY' }))),
  );
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  const codes = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
  expect(new Set(codes)).toEqual(new Set(['already_exists']));
  expect(await store.current.countDocuments({ 'keys.code': 'MANY' })).toBe(1);
});

test('a young claim without an event is neither taken over nor called a duplicate; an old one is taken over', async () => {
  await abandoned('YOUNG', 'thing:crashed');
  await expect(store.execute(change('d', { code: 'YOUNG' }))).rejects.toMatchObject({ code: 'version_conflict', retryAfterSeconds: 1 });
  await abandoned('OLD', 'thing:crashed', 120_000);
  await store.execute(change('d', { code: 'OLD' }));
  expect(await holder('OLD')).toBe('thing:d');
});

test('an old claim that an event stands behind is never taken over, also when current has lost the entity', async () => {
  await store.execute(change('e', { code: 'E' }));
  await store.claims.updateOne({ _id: 'c1/E' }, { $set: { claimed_at: new Date(0) } });
  await store.current.deleteOne({ _id: 'e' });
  await expect(open({ claimGraceMs: 0 }).execute(change('f', { code: 'E' }))).rejects.toMatchObject({ code: 'already_exists' });
});

test('a claim that a crash left after a rename or a deletion is taken over after the grace', async () => {
  await store.execute(change('g', { code: 'G' }));
  await store.execute(deletion('g'));
  await abandoned('G', 'thing:g', 120_000);
  await store.execute(change('h', { code: 'G' }));
  expect(await holder('G')).toBe('thing:h');
});

test('the one who comes again finds its own claim', async () => {
  await abandoned('MINE', 'thing:i');
  await store.execute(change('i', { code: 'MINE' }));
  expect((await store.claims.findOne({ _id: 'c1/MINE' }))?.holders).toHaveLength(2);
});

test('two commands of one entity for one value: the one that loses leaves the claim to the other', async () => {
  await store.execute(change('j', {}));
  const both = await Promise.allSettled([1, 2, 3].map((n) => open().execute(change('j', { code: 'J', n }, { expectedVersion: 1 }))));
  expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(await holder('J')).toBe('thing:j');
  await expect(store.execute(change('k', { code: 'J' }))).rejects.toMatchObject({ code: 'already_exists' });
});

test('a release that comes late does not take what was claimed again since', async () => {
  await store.execute(change('l', { code: 'L' }));
  const { event } = await store.execute(change('l', { code: 'L2' }));
  await store.execute(change('l', { code: 'L' }));
  await store.claims.updateOne({ _id: 'c1/L', stream_id: 'thing:l' }, { $pull: { holders: { $lte: event?._id ?? '' } } });
  await store.claims.deleteOne({ _id: 'c1/L', stream_id: 'thing:l', holders: { $size: 0 } });
  expect(await holder('L')).toBe('thing:l');
});

test('a command that was slow between claim and append looks again, and stops when its claim was taken over', async () => {
  const reading = { events: store.events, current: store.current, rules: things };
  const claims = createClaims({ db: store.db, claims: store.claims, reading, graceMs: 60_000, patienceMs: 0 });
  const wanted = [{ name: 'code', key: 'c1/SLOW' }];
  const takenAt = clock();
  await claims.take('thing:m', 'e1', wanted);
  await store.claims.updateOne({ _id: 'c1/SLOW' }, { $set: { stream_id: 'thing:n', holders: ['e2'] } });
  await claims.retakeIfSlow('thing:m', 'e1', wanted, takenAt); // quick: no look, no cost
  const longAgo = { monotonic: takenAt.monotonic - 31_000, wall: takenAt.wall };
  await expect(claims.retakeIfSlow('thing:m', 'e1', wanted, longAgo)).rejects.toMatchObject({ code: 'version_conflict' });
  const suspended = { monotonic: takenAt.monotonic, wall: takenAt.wall - 31_000 };
  await expect(claims.retakeIfSlow('thing:m', 'e1', wanted, suspended)).rejects.toMatchObject({ code: 'version_conflict' });
});
