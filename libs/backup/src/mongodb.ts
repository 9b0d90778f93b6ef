import { BSON, type Collection, type Db, type Document, type Filter, type IndexDescription, type MongoClient, type Sort } from 'mongodb';
import { BackupFault, type CollectionEntry } from './manifest.ts';

/** Documents of one insert; a portion that they come in bounds their bytes. */
const BATCH = 1_000;
/** Inserts on their way at once. */
const AT_ONCE = 4;

/** Documents as they are stored, byte for byte, in the order of `_id` unless told otherwise. */
export async function* rawDocuments(
  collection: Collection<Document>,
  { filter = {}, sort = { _id: 1 } }: { filter?: Filter<Document>; sort?: Sort } = {},
): AsyncGenerator<Uint8Array> {
  const found = collection.find(filter, { raw: true, batchSize: BATCH }).sort(sort);
  yield* found as unknown as AsyncIterable<Uint8Array>;
}

/** Indexes of a collection without that of `_id`, as they can be made again. */
export async function indexesOf(collection: Collection<Document>): Promise<CollectionEntry['indexes']> {
  // a collection that is not there has none
  const found = await collection
    .listIndexes()
    .toArray()
    .catch(() => []);
  return found.filter(({ name }) => name !== '_id_').map(({ v: _, ns: __, ...index }) => index);
}

export async function makeIndexes(collection: Collection<Document>, indexes: CollectionEntry['indexes']): Promise<void> {
  if (indexes.length > 0) await collection.createIndexes(indexes as unknown as IndexDescription[]);
}

/**
 * Inserts documents that come in portions, some inserts at a time, and resolves when all are durable. Nothing may be there yet: a document
 * whose key is taken is an error.
 */
export async function load(
  collection: Collection<Document>,
  portions: AsyncIterable<readonly Document[]>,
  onProgress?: (documents: number) => void,
): Promise<number> {
  const running = new Set<Promise<void>>();
  let total = 0;
  try {
    for await (const portion of portions) {
      for (const batch of batches(portion)) {
        while (running.size >= AT_ONCE) await Promise.race(running);
        const one: Promise<void> = collection.insertMany([...batch], { ordered: false }).then(() => {
          running.delete(one);
          total += batch.length;
          onProgress?.(total);
        });
        running.add(one);
        // it is awaited later; a failure before that is not unheard
        one.catch(() => undefined);
      }
    }
    await Promise.all(running);
  } finally {
    await Promise.allSettled(running);
  }
  return total;
}

function* batches(documents: readonly Document[]): Generator<readonly Document[]> {
  for (let from = 0; from < documents.length; from += BATCH) yield documents.slice(from, from + BATCH);
}

export interface ReadDocument {
  /** In plain values, as any client reads it. */
  plain: Document;
  /** Such that it is stored as the same bytes. */
  stored: Document;
}

/**
 * A document of a backup. What is stored is the plain one where that becomes the same bytes again, as nearly all do; else types are kept apart
 * (a 64-bit integer is not the double that it would become).
 */
export function readDocument(raw: Uint8Array): ReadDocument {
  const plain = BSON.deserialize(raw);
  if (Buffer.compare(BSON.serialize(plain), raw) === 0) return { plain, stored: plain };
  return { plain, stored: BSON.deserialize(raw, { promoteValues: false, bsonRegExp: true }) };
}

/** BackupFault when one of the databases has a document in it. Empty collections may be there, and those in `ignored`. */
export async function assertEmpty(client: MongoClient, databases: readonly string[], ignored: readonly string[] = []): Promise<void> {
  for (const name of databases) {
    const filled = await firstFilled(client.db(name), ignored);
    if (filled !== undefined) {
      throw new BackupFault(
        `The database ${name} is not empty (${filled}): a backup is restored into empty databases only. Look whether it is the right server; to lose what is there, drop the database yourself`,
      );
    }
  }
}

async function firstFilled(db: Db, ignored: readonly string[]): Promise<string | undefined> {
  const collections = await db.listCollections({}, { nameOnly: true }).toArray();
  for (const { name } of collections) {
    if (name.startsWith('system.') || ignored.includes(name)) continue;
    if ((await db.collection(name).findOne({}, { projection: { _id: 1 } })) !== null) return name;
  }
  return undefined;
}
