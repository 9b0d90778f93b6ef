import { engines, testProxy, until } from '@biz/testing';
import { MongoClient } from 'mongodb';
import { expect, test } from 'vitest';
import { followDatabase } from './health.ts';

test('a service is serving as long as its database answers', async () => {
  await using proxy = await testProxy(new URL(engines().mongodbUrl).host);
  const client = new MongoClient(`mongodb://${proxy.address}/?directConnection=true`, { serverSelectionTimeoutMS: 200 });
  const told: boolean[] = [];
  {
    using _ = followDatabase(client.db('admin'), { setServing: (serving) => told.push(serving) }, 10);
    await until(() => told.at(-1) === true, { what: 'serving' });
    await proxy.down();
    await until(() => told.at(-1) === false, { what: 'not serving' });
    await proxy.up();
    await until(() => told.at(-1) === true, { what: 'serving again' });
  }
  expect(told.length).toBeGreaterThan(2);
  await client.close();
});
