import type { Signer } from '@biz/merkle';
import { edgeRoot, signCheckpoint } from '@biz/merkle';
import { Binary, type Db, type Document } from 'mongodb';
import type { Collections } from '../collections.ts';
import { createMongoStore } from '../ingest/mongo-store.ts';
import { edgeOf } from '../ingest/tree.ts';
import { rootAt, treeOf } from '../integrity/logs.ts';
import { checkpointId, recordId } from '../keys.ts';

/** What an attacker with full access to the database would leave out: nothing that the proofs rest on. */
const proving = ['records', 'entities', 'logs', 'tiles', 'checkpoints'] as const;

export type Dump = Map<string, Document[]>;

export async function dump(db: Db): Promise<Dump> {
  const found = await Promise.all(proving.map((name) => db.collection(name).find().toArray()));
  return new Map(proving.map((name, index) => [name, found[index] as Document[]]));
}

/** The database as it was dumped, and nothing else in it. */
export async function restore(db: Db, dumped: Dump): Promise<void> {
  for (const [name, documents] of dumped) {
    await db.collection(name).deleteMany({});
    if (documents.length > 0) await db.collection(name).insertMany(documents.map((one) => ({ ...one })));
  }
}

/**
 * Makes a log's tree anew from the records that are there, up to a size, with the service's own code; then, with the service's own
 * key, signs every checkpoint anew. Afterwards nothing in the database contradicts it.
 */
export async function rebuildLog(collections: Collections, logId: string, size: number, signer?: Signer): Promise<void> {
  const ofLog = { log_id: logId };
  await collections.tiles.deleteMany(ofLog);
  const edge = await edgeOf(createMongoStore(collections), logId, { size, edge: undefined });
  const root = new Binary(edgeRoot(edge));
  const last = await collections.events.findOne({ _id: recordId(logId, size - 1) });
  const change = { size, applied: size, root, edge: edge.levels.map((level) => new Binary(level)), next_offset: (last?.offset ?? 0) + 1 };
  await collections.logs.updateOne({ _id: logId }, { $set: change });
  if (signer === undefined) return;
  const signed = await collections.checkpoints.find(ofLog).toArray();
  await collections.checkpoints.deleteMany(ofLog);
  const tree = await treeOf(collections, logId);
  if (tree === undefined) throw new Error(`${logId} has no tree`);
  for (const old of signed.filter((one) => one.size <= size)) {
    const rootThen = await rootAt(tree, old.size);
    const note = signCheckpoint({ origin: signer.name, size: old.size, root: rootThen }, signer);
    await collections.checkpoints.insertOne({ ...old, _id: checkpointId(logId, old.size), root: new Binary(rootThen), note });
  }
}

/** A field of a document and what it is with one bit changed. */
export interface Flip {
  path: string;
  value: unknown;
}

/** Every field of a document, nested ones too, each with one bit of its value changed; what has no bits (null) becomes something. */
export function flips(document: Document, prefix = ''): Flip[] {
  return Object.entries(document).flatMap(([name, value]): Flip[] => {
    const path = `${prefix}${name}`;
    if (Object.prototype.toString.call(value) === '[object Object]' && !(value instanceof Binary)) return flips(value, `${path}.`);
    return [{ path, value: flipped(value) }];
  });
}

function flipped(value: unknown): unknown {
  if (typeof value === 'string') return flippedText(value);
  if (typeof value === 'number') return value ^ 1;
  if (typeof value === 'boolean') return !value;
  if (value instanceof Date) return new Date(value.getTime() + 1);
  if (value instanceof Binary) return flippedBytes(value);
  if (Array.isArray(value)) return value.map((one, index) => (index === 0 ? flipped(one) : one));
  return 'x';
}

function flippedText(text: string): string {
  const last = text.length - 1;
  return text === '' ? 'x' : text.slice(0, last) + String.fromCharCode(text.charCodeAt(last) ^ 1);
}

export function flippedBytes(value: Binary): Binary {
  const bytes = Buffer.from(value.value());
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return new Binary(bytes);
}
