// A process of its own for the tests that kill one: `writer` changes things in a loop and says what was acknowledged,
// `relay` delivers to standard output and, told so, dies right after a delivery.
import { writeSync } from 'node:fs';
import { MongoClient } from 'mongodb';
import { createEventStore, createRelay } from './index.ts';
import { change, things } from './testing.ts';

const [role, url = '', database, dieAfter] = process.argv.slice(2);
const client = await new MongoClient(url).connect();
const store = createEventStore({ db: client.db(database), entities: things });
const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`);

if (role === 'writer') {
  const worker = async (name: string) => {
    for (let n = 0; ; n += 1) {
      const id = `${name}-${n % 3}`;
      const { event } = await store.execute(change(id, { code: `${process.pid}-${id}-${n}`, n }));
      say({ id: event?._id, stream: event?.stream_id, version: event?.version });
    }
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(worker));
} else {
  let batches = 0;
  createRelay({
    store,
    mark: 'published_at',
    batchSize: 7,
    leaseMs: 300,
    pollMs: 20,
    deliver: async (batch) => {
      for (const { _id, stream_id, version } of batch) say({ id: _id, stream: stream_id, version });
      batches += 1;
      if (batches === Number(dieAfter)) process.kill(process.pid, 'SIGKILL');
    },
  });
}
