import { type TestDatabase, testDatabase } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Collections, collectionsOf, ensureIndexes } from '../collections.ts';
import { createMongoStore } from './mongo-store.ts';
import type { OwnershipMerge } from './store.ts';

let database: TestDatabase;
let collections: Collections;
beforeAll(async () => {
  database = await testDatabase('mongo-store');
  collections = collectionsOf(database.db);
  await ensureIndexes(collections);
});
afterAll(() => database[Symbol.asyncDispose]());

const merge = (id: string, leaves: number[]): OwnershipMerge => ({
  ...{ _id: id, company_id: null, ownership_id: id, first_seen: new Date(1_000), last_seen: new Date(2_000), entity_types: ['card'] },
  ...{ blind_document: [], blind_email: [], leaves },
});

/** The collections, where something happens before the first look at who is there. */
function interrupted(before: () => Promise<void>): Collections {
  let first = true;
  const ownerships = new Proxy(collections.ownerships, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (name !== 'find') return typeof value === 'function' ? value.bind(target) : value;
      return (...args: Parameters<typeof target.find>) => {
        const cursor = target.find(...args);
        const toArray = cursor.toArray.bind(cursor);
        cursor.toArray = async () => {
          if (first) {
            first = false;
            await before();
          }
          return toArray();
        };
        return cursor;
      };
    },
  });
  return { ...collections, ownerships };
}

it('an ownership that another log brought just then is counted for both logs', async () => {
  const other = createMongoStore(collections);
  const store = createMongoStore(interrupted(() => other.mergeOwnerships('audit-1', [merge('own-1', [0, 1])])));
  await other.mergeOwnerships('audit-1', [merge('own-2', [2])]);
  await store.mergeOwnerships('audit-0', [merge('own-1', [0, 1, 2, 3]), merge('own-2', [4]), merge('own-3', [5])]);
  const counts = (await collections.ownerships.find().sort({ _id: 1 }).toArray()).map(({ _id, counts }) => [
    _id,
    Object.fromEntries(Object.entries(counts).map(([log, { count }]) => [log, count])),
  ]);
  expect(Object.fromEntries(counts)).toEqual({
    'own-1': { 'audit-0': 4, 'audit-1': 2 },
    'own-2': { 'audit-0': 1, 'audit-1': 1 },
    'own-3': { 'audit-0': 1 },
  });
});
