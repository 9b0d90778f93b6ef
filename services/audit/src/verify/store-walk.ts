import type { Document } from 'mongodb';
import { recordId } from '../keys.ts';
import { CheckpointWalk } from './checkpoint-walk.ts';
import type { EntityCheck } from './entities.ts';
import type { Finding } from './findings.ts';
import type { LogKeys } from './log-keys.ts';
import { LogWalk } from './log-walk.ts';
import type { VerifySource } from './source.ts';
import { type StoredLog, StoredTree } from './stored-tree.ts';

export interface StoreWalkParts {
  source: VerifySource;
  keys: LogKeys;
  /** In the order of their records' ids. */
  logs: readonly StoredLog[];
  entities: EntityCheck;
  report: (finding: Finding) => void;
}

/** What came of one log. */
export interface WalkedLog {
  log_id: string;
  size: number;
  /** Hex, as the records give it; empty when they do not. */
  root: string;
  /** Checkpoints compared: of the database, and kept outside. */
  checkpoints: number;
  outside: number;
  /** Leaves that the checkpoints kept outside vouch for; those beyond rest on the database alone. */
  outside_size: number;
}

/** The one pass over all records of all logs. */
export class StoreWalk {
  checked = 0;
  readonly logs: WalkedLog[] = [];
  /** Logs whose ends are to be looked at, also those that have records and no document. */
  readonly ends: Set<string>;
  readonly #parts: StoreWalkParts;
  readonly #known: ReadonlyMap<string, StoredLog>;
  readonly #waiting: StoredLog[];
  #current: { log: StoredLog; walk: LogWalk; checkpoints: CheckpointWalk } | undefined;

  constructor(parts: StoreWalkParts) {
    this.#parts = parts;
    this.#known = new Map(parts.logs.map((log) => [log.log_id, log]));
    this.#waiting = [...parts.logs];
    this.ends = new Set(this.#known.keys());
  }

  async run({ onProgress, signal }: RunOptions): Promise<void> {
    const total = this.#parts.logs.reduce((sum, { size }) => sum + size, 0);
    for await (const batch of this.#parts.source.records()) {
      signal?.throwIfAborted();
      for (const record of batch) await this.#record(record);
      onProgress?.({ checked: this.checked, total: Math.max(total, this.checked) });
    }
    while (this.#waiting.length > 0) await this.#begin();
    await this.#finish();
  }

  async #record(record: Document): Promise<void> {
    const place = placeOf(record._id);
    if (place === undefined) {
      this.#parts.report(strange(record._id));
      return;
    }
    const log = this.#known.get(place.log_id);
    if (log === undefined) this.ends.add(place.log_id);
    const inside = log !== undefined && place.index < log.size;
    this.checked += 1;
    this.#parts.entities.add(record, inside);
    if (!inside) return;
    // Logs before this one may have no record at all.
    while (this.#current?.log !== log) await this.#begin();
    await this.#current.walk.add(place.index, record);
  }

  /** The next log. */
  async #begin(): Promise<void> {
    await this.#finish();
    const log = this.#waiting.shift();
    if (log === undefined) throw new Error('records do not come in the order of their ids');
    const { source, keys, report } = this.#parts;
    const stored = new StoredTree(log, source.tiles);
    const parts = { logId: log.log_id, keys, stored: source.checkpoints(log.log_id), outside: source.outside, report };
    const checkpoints = new CheckpointWalk(parts);
    this.#current = { log, checkpoints, walk: new LogWalk({ log, stored, checkpoints, report }) };
  }

  async #finish(): Promise<void> {
    if (this.#current === undefined) return;
    const { log, walk, checkpoints } = this.#current;
    const { root } = await walk.end();
    const { stored, ...outside } = checkpoints.compared;
    this.logs.push({ log_id: log.log_id, size: log.size, root: root?.toString('hex') ?? '', checkpoints: stored, ...outside });
    this.#current = undefined;
  }
}

export interface RunOptions {
  onProgress?: (progress: { checked: number; total: number }) => void;
  /** Ends the walk with its reason as the error. */
  signal?: AbortSignal;
}

/** The place that an id of `records` tells; undefined for another text. */
function placeOf(id: string): { log_id: string; index: number } | undefined {
  const dot = id.lastIndexOf('.');
  const digits = id.slice(dot + 1);
  if (dot < 1 || digits.length < 12 || digits.length > 15 || !/^[0-9]+$/.test(digits)) return undefined;
  const place = { log_id: id.slice(0, dot), index: Number(digits) };
  return recordId(place.log_id, place.index) === id ? place : undefined;
}

/** A document of `records` whose id is no place. */
export function strange(id: unknown): Finding {
  const name = typeof id === 'string' ? id : `(${typeof id}) ${String(id)}`;
  return {
    reason: 'record_unexpected',
    log_id: '',
    leaf_index: null,
    record_id: name.slice(0, 100),
    subject: 'an id that is no place in a log',
  };
}
