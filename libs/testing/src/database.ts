import { type Db, MongoClient } from 'mongodb';
import { engines } from './engines.ts';
import { uniqueName } from './names.ts';

/** A database of its own on the run's MongoDB; disposing drops it and closes the client. Use one a test file. */
export async function testDatabase(prefix = 'test'): Promise<TestDatabase> {
  const url = engines().mongodbUrl;
  const client = await new MongoClient(url, {
    serverSelectionTimeoutMS: 10_000,
    writeConcern: { w: 'majority', journal: true },
  }).connect();
  const name = uniqueName(prefix);
  const db = client.db(name);
  return {
    url,
    name,
    db,
    client,
    async [Symbol.asyncDispose]() {
      await db.dropDatabase().catch(() => undefined); // a test may have taken the engine away
      await client.close();
    },
  };
}

export interface TestDatabase extends AsyncDisposable {
  url: string;
  name: string;
  db: Db;
  client: MongoClient;
}
