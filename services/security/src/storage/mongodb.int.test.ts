import { testDatabase } from '@biz/testing';
import { conformance } from './conformance.ts';
import { openMongoStorage } from './mongodb.ts';

conformance('mongodb', async () => {
  const database = await testDatabase('security_storage');
  return {
    open: () => openMongoStorage(database.db),
    settled: async () => undefined,
    raw: async () => JSON.stringify(await database.db.collection('security_events').find().toArray()),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
});
