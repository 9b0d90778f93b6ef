import { expect, test } from 'vitest';
import { testDatabase } from './database.ts';

test('each database is its own and is dropped when disposed', async () => {
  const first = await testDatabase();
  await using second = await testDatabase();
  await first.db.collection('things').insertOne({ name: 'first' });
  expect(await second.db.collection('things').countDocuments()).toBe(0);
  await first[Symbol.asyncDispose]();
  const left = await second.client.db().admin().listDatabases({ nameOnly: true });
  expect(left.databases.map((database) => database.name)).not.toContain(first.name);
});
