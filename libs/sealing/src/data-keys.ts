import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { AppError } from '@biz/errors';
import { canonicalJson, sha256Hex } from '@biz/json';
import { counter } from '@biz/telemetry';
import { LRUCache } from 'lru-cache';
import { type Collection, type Db, MongoBulkWriteError } from 'mongodb';
import type { Kek } from './kek.ts';
import { unwrapKey, wrapKey } from './token.ts';

/** A document of `data_keys`. An erased one stays, without its key, so that no new key takes its place. */
export interface DataKeyDocument {
  _id: string;
  kind: 'data' | 'blind';
  company_id: string | null;
  /** Whose data the key seals; null for a company's blind-index key. */
  ownership_id: string | null;
  wrapped: string | null;
  kek_id: string;
  state: 'active' | 'erased';
  created_at: string;
}

export interface KeyOwner {
  kind: 'data' | 'blind';
  company_id: string | null;
  ownership_id: string | null;
}

export type HeldKey = { state: 'active'; key: KeyObject } | { state: 'erased' } | { state: 'broken' };

export interface DataKeys {
  ensureIndexes(): Promise<void>;
  /** The key of each owner, made where missing: one read and at most one write for all of them. */
  ensure(owners: readonly KeyOwner[]): Promise<HeldKey[]>;
  /** The key of each owner, where there is one: at most one read. */
  find(owners: readonly KeyOwner[]): Promise<(HeldKey | undefined)[]>;
}

const lookups = counter('biz.sealing.key_cache.lookups');

/** Id of an owner's key document; a hash, since ownership ids of other producers are of any length. */
export function keyId(owner: KeyOwner): string {
  return sha256Hex(canonicalJson([owner.kind, owner.company_id, owner.ownership_id]));
}

/** Ids of many owners, of which few differ: each is hashed once. */
function keyIds(owners: readonly KeyOwner[]): string[] {
  const known = new Map<string, Map<string | null, string>>();
  return owners.map((owner) => {
    const company = owner.company_id === null ? owner.kind : `${owner.kind}:${owner.company_id}`;
    const ids = known.get(company) ?? new Map<string | null, string>();
    const id = ids.get(owner.ownership_id) ?? keyId(owner);
    known.set(company, ids.set(owner.ownership_id, id));
    return id;
  });
}

/**
 * Data keys in MongoDB, cached for `cacheSeconds`: the longest that a destroyed key still opens anything in a process
 * that holds it.
 */
export function createDataKeys(options: { database: Db; kek: Kek; cacheSize: number; cacheSeconds: number }): DataKeys {
  const { database, kek } = options;
  // Majority on both sides: a key that a failover rolls back must never have sealed anything.
  const keys: Collection<DataKeyDocument> = database.collection('data_keys', {
    readConcern: { level: 'majority' },
    writeConcern: { w: 'majority', journal: true },
  });
  const cache = new LRUCache<string, HeldKey>({ max: options.cacheSize, ttl: options.cacheSeconds * 1000 });

  async function load(ids: readonly string[], into: Map<string, HeldKey>): Promise<void> {
    if (ids.length === 0) return;
    const documents = await keys.find({ _id: { $in: [...ids] } }).toArray();
    for (const document of documents) hold(document, into);
  }

  function hold(document: DataKeyDocument, into: Map<string, HeldKey>): void {
    const held = unwrap(kek, document);
    into.set(document._id, held);
    if (held.state !== 'broken') cache.set(document._id, held);
  }

  async function held(ids: readonly string[]): Promise<Map<string, HeldKey>> {
    const found = new Map<string, HeldKey>();
    const absent = new Set<string>();
    for (const id of new Set(ids)) {
      const cached = cache.get(id);
      if (cached) found.set(id, cached);
      else absent.add(id);
    }
    if (found.size > 0) lookups.add(found.size, { 'biz.cache.result': 'hit' });
    if (absent.size > 0) lookups.add(absent.size, { 'biz.cache.result': 'miss' });
    await load([...absent], found);
    return found;
  }

  async function find(owners: readonly KeyOwner[]): Promise<(HeldKey | undefined)[]> {
    const ids = keyIds(owners);
    const found = await held(ids);
    return ids.map((id) => found.get(id));
  }

  async function ensure(owners: readonly KeyOwner[]): Promise<HeldKey[]> {
    const ids = keyIds(owners);
    const found = await held(ids);
    const made = new Map<string, DataKeyDocument>();
    for (const [index, id] of ids.entries()) {
      if (!found.has(id) && !made.has(id)) made.set(id, newKey(kek, id, owners[index] as KeyOwner));
    }
    if (made.size > 0) await make(made, found);
    return ids.map((id) => found.get(id) as HeldKey);
  }

  async function make(made: ReadonlyMap<string, DataKeyDocument>, found: Map<string, HeldKey>): Promise<void> {
    const taken = await insertAll(keys, [...made.values()]);
    for (const document of made.values()) if (!taken.has(document._id)) hold(document, found);
    await load([...taken], found);
    for (const id of made.keys()) if (!found.has(id)) throw new AppError('unavailable', 'a data key could not be read back');
  }

  return { ensureIndexes: () => createIndexes(keys), ensure, find };
}

async function createIndexes(keys: Collection<DataKeyDocument>): Promise<void> {
  // For re-wrapping every key of a key-encryption key that is rotated out.
  await keys.createIndex({ kek_id: 1 });
}

function newKey(kek: Kek, id: string, owner: KeyOwner): DataKeyDocument {
  const wrapped = wrapKey(kek.key, randomBytes(32), id);
  return { _id: id, ...owner, wrapped, kek_id: kek.id, state: 'active', created_at: new Date().toISOString() };
}

/** Inserts all; returns the ids that another process had inserted first, whose key then counts. */
async function insertAll(keys: Collection<DataKeyDocument>, documents: DataKeyDocument[]): Promise<Set<string>> {
  try {
    await keys.insertMany(documents, { ordered: false });
    return new Set();
  } catch (error) {
    // as insertMissing of @biz/eventstore, on which this package may not rest: a key without its acknowledgements may be gone tomorrow
    if (!(error instanceof MongoBulkWriteError) || error.result.getWriteConcernError()) throw error;
    const failures = [error.writeErrors].flat();
    if (failures.length === 0 || failures.some((failure) => failure.code !== 11000)) throw error;
    return new Set(failures.flatMap((failure) => documents[failure.index]?._id ?? []));
  }
}

function unwrap(kek: Kek, document: DataKeyDocument): HeldKey {
  if (document.state === 'erased' || document.wrapped === null) return { state: 'erased' };
  if (document.kek_id !== kek.id) {
    throw new AppError('internal', `data keys are wrapped by key-encryption key ${document.kek_id}, this process has ${kek.id}`);
  }
  const key = unwrapKey(kek.key, document.wrapped, document._id);
  return key ? { state: 'active', key: createSecretKey(key) } : { state: 'broken' };
}
