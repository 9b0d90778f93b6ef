import { type Backup, BackupFault, load, type Manifest, type ReadDocument, readDocument } from '@biz/backup';
import { keyId } from '@biz/sealing';
import type { Db, Document } from 'mongodb';
import { type Collections, collectionsOf, type LogDocument, type OwnershipDocument } from '../collections.ts';
import { createMongoStore, treeFields } from '../ingest/mongo-store.ts';
import { LogPending } from '../ingest/pending.ts';
import { placeOf } from '../keys.ts';
import type { RecordDocument } from '../record.ts';
import type { About } from './about.ts';
import { Leaves } from './leaves.ts';

export interface AuditRestore {
  backup: Backup;
  about: About;
  db: Db;
  /** Ids of data keys that were destroyed. */
  erased: ReadonlySet<string>;
  onProgress: (text: string) => void;
}

/** Entities and ownerships that wait in memory to be written. */
const MOST_PENDING = 5_000;
const CHUNK = 1_000;
/** Stands for "nothing seen yet": every time is before it. */
const NEVER = new Date('9999-12-31T23:59:59.999Z');
const LONG_AGO = new Date(0);

/**
 * Records and all that is made of them, by the service's own code: trees (each must be the one that was signed), heads, ownerships, flags. Needs
 * empty collections that have their indexes. BackupFault when the records are not those that were signed.
 */
export async function restoreAudit(parts: AuditRestore): Promise<{ records: number }> {
  const { backup, db, about } = parts;
  const collections = collectionsOf(db);
  const entries = backup.manifest.collections.filter(({ database }) => database === about.audit_database);
  const entry = (name: string) => entries.find(({ collection }) => collection === name);
  const ownerships = entry('ownerships');
  if (ownerships !== undefined) await loadOwnerships(parts, ownerships);
  const records = entry('records');
  if (records === undefined) throw new BackupFault(`${backup.folder} has no records in it`);
  const count = await new Records(parts, collections).load(records);
  parts.onProgress('setting flags of newest versions');
  await flagNewest(collections);
  // What nothing in the backup is about: it was seen first after the cut.
  await collections.ownerships.deleteMany({ first_seen: NEVER });
  return { records: count };
}

/** The records on their way, one log after the other. */
class Records {
  readonly #parts: AuditRestore;
  readonly #collections: Collections;
  readonly #store: ReturnType<typeof createMongoStore>;
  readonly #waiting: About['logs'];
  #log: { about: About['logs'][number]; leaves: Leaves; pending: LogPending } | undefined;

  constructor(parts: AuditRestore, collections: Collections) {
    this.#parts = parts;
    this.#collections = collections;
    this.#store = createMongoStore(collections);
    this.#waiting = [...parts.about.logs];
  }

  async load(entry: Manifest['collections'][number]): Promise<number> {
    const { onProgress, db } = this.#parts;
    const told = (count: number) => onProgress(`records: ${count.toLocaleString('en')} of ${entry.documents.toLocaleString('en')}`);
    const loaded = await load(db.collection('records'), this.#portions(entry), told);
    await this.#finish();
    if (this.#waiting.length > 0) throw new BackupFault(`the records of ${this.#waiting[0]?.log_id} are not in the backup`);
    return loaded;
  }

  async *#portions(entry: Manifest['collections'][number]): AsyncGenerator<Document[]> {
    for await (const part of this.#parts.backup.parts(entry)) {
      for (let from = 0; from < part.length; from += CHUNK) {
        const documents = part.slice(from, from + CHUNK).map(readDocument);
        for (const document of documents) await this.#add(document);
        await this.#write();
        yield documents.map(({ stored }) => stored);
      }
    }
  }

  async #add({ plain }: ReadDocument): Promise<void> {
    const { log } = placeOf(String(plain._id));
    if (this.#log?.about.log_id !== log) {
      await this.#finish();
      const about = this.#waiting.shift();
      if (about?.log_id !== log) throw new BackupFault(`${String(plain._id)} is of no log of the backup, or not in its turn`);
      this.#log = { about, leaves: new Leaves(about), pending: new LogPending(log, 0, 0) };
    }
    this.#log.leaves.add(plain);
    if (plain.kind === 'event') this.#log.pending.addRecords([plain as RecordDocument]);
  }

  async #write(): Promise<void> {
    if (this.#log === undefined) return;
    const { leaves, pending, about } = this.#log;
    await this.#store.saveTiles(about.log_id, leaves.takeTiles());
    if (pending.heads.size + pending.merges.size >= MOST_PENDING) await this.#apply();
  }

  async #apply(): Promise<void> {
    if (this.#log === undefined) return;
    const { pending, about, leaves } = this.#log;
    await Promise.all([
      this.#store.raiseHeads([...pending.heads.values()]),
      this.#store.mergeOwnerships(about.log_id, [...pending.merges.values()]),
    ]);
    pending.done(leaves.size);
  }

  /** The log's own document is written when its tree is the one that was signed. */
  async #finish(): Promise<void> {
    if (this.#log === undefined) return;
    const { leaves, about } = this.#log;
    const { edge, nextOffset } = leaves.end();
    await this.#store.saveTiles(about.log_id, leaves.takeTiles());
    await this.#apply();
    const log: LogDocument = {
      _id: about.log_id,
      size: edge.size,
      applied: edge.size,
      next_offset: nextOffset,
      ...treeFields(edge),
      updated_at: new Date(),
    };
    await this.#collections.logs.insertOne(log);
    this.#log = undefined;
  }
}

/**
 * What records do not have (blind indexes, holds, requests, the state of the key) is in the backup; what they have is counted from them again, since
 * ownerships go on while records stand at the cut. Whose key was destroyed since has no blind index any more.
 */
async function loadOwnerships({ backup, db, erased, onProgress }: AuditRestore, entry: Manifest['collections'][number]): Promise<void> {
  async function* portions(): AsyncGenerator<Document[]> {
    for await (const part of backup.parts(entry)) yield part.map((raw) => emptied(readDocument(raw).stored as OwnershipDocument, erased));
  }
  await load(db.collection('ownerships'), portions(), (count) => onProgress(`ownerships: ${count.toLocaleString('en')}`));
}

function emptied(ownership: OwnershipDocument, erased: ReadonlySet<string>): OwnershipDocument {
  const { company_id, ownership_id, ownership_id_long = ownership_id, holds, requests } = ownership;
  const isErased = ownership.key_state === 'erased' || erased.has(keyId({ kind: 'data', company_id, ownership_id: ownership_id_long }));
  const isKept = isErased || holds.length > 0 || requests.length > 0;
  return {
    ...ownership,
    ...(isErased && { key_state: 'erased', blind_document: [], blind_email: [] }),
    counts: {},
    ...(!isKept && { first_seen: NEVER, last_seen: LONG_AGO, entity_types: [] }),
  };
}

/** A record that was superseded only after the cut is the newest again. */
async function flagNewest({ entities, records }: Collections): Promise<void> {
  let ids: string[] = [];
  const flag = async () => {
    if (ids.length > 0) await records.updateMany({ _id: { $in: ids }, is_active: false }, { $set: { is_active: true } });
    ids = [];
  };
  for await (const { record_id, is_active } of entities.find({}, { projection: { record_id: 1, is_active: 1 } })) {
    if (is_active) ids.push(record_id);
    if (ids.length >= CHUNK) await flag();
  }
  await flag();
}
