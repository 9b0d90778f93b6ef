import type { Document } from 'mongodb';
import type { StoredCheckpoint } from './checkpoint-walk.ts';
import type { VersionRow } from './entities.ts';
import type { Outside } from './outside.ts';
import type { StoredLog, StoredTile } from './stored-tree.ts';

/** The store as the verifier reads it, and nothing else: no key of the service, no other collection. */
export interface VerifySource {
  /** Every log's document, in no order. */
  logs(): Promise<StoredLog[]>;
  /** Every document of `records` whose id is a text, whole, by id, in batches. */
  records(): AsyncIterable<readonly Document[]>;
  /** Ids of documents of `records` that are no texts, some of them. */
  strangeIds(): Promise<unknown[]>;
  /** Some full tiles of a log's level from one on, in order. */
  tiles(logId: string, level: number, from: number): Promise<StoredTile[]>;
  /** The checkpoints of a log in the database, by id. */
  checkpoints(logId: string): AsyncGenerator<StoredCheckpoint>;
  /** Names of the logs that have checkpoints in the database. */
  checkpointLogs(): Promise<string[]>;
  newestCheckpoint(logId: string): Promise<StoredCheckpoint | undefined>;
  /** Records of a log from a place on, in order, at most some hundred. */
  recordsFrom(logId: string, index: number): Promise<Document[]>;
  /** All versions of an entity, by version. */
  versions(entityKey: string): AsyncIterable<VersionRow>;
  outside: Outside;
}
