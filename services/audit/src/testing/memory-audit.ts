import { type Edge, EMPTY_EDGE, edgeRoot, extendEdge, signCheckpoint, signerOf } from '@biz/merkle';
import type { Document } from 'mongodb';
import { checkpointId, entityKey, recordId, tileId } from '../keys.ts';
import { leafOf } from '../leaf.ts';
import type { StoredCheckpoint } from '../verify/checkpoint-walk.ts';
import type { VersionRow } from '../verify/entities.ts';
import { LogKeys } from '../verify/log-keys.ts';
import { nothingOutside, type Outside, type OutsideEntry } from '../verify/outside.ts';
import type { VerifySource } from '../verify/source.ts';
import type { StoredLog, StoredTile } from '../verify/stored-tree.ts';
import { type VerifyOptions, type VerifyResult, verifyAudit } from '../verify/verify.ts';

const PREFIX = 'test/audit';
const seed = Buffer.alloc(32, 3);
export const keys = new LogKeys(PREFIX, signerOf('any', seed).publicKey);

/** An audit in memory, made as the service makes it, and kept outside what was signed of it. */
export class MemoryAudit {
  records = new Map<string, Document>();
  logs = new Map<string, StoredLog & { edges: Edge }>();
  tiles = new Map<string, StoredTile>();
  checkpoints: StoredCheckpoint[] = [];
  kept: { log_id: string; from: number; size: number; note: string; hashes: Buffer }[] = [];
  #versions = new Map<string, Document>();
  #leaves = new Map<string, Buffer[]>();

  /** Adds a batch to a log, one record for each entity named; `''` is a place without an event. */
  add(log_id: string, entities: readonly string[], { finish = true } = {}): void {
    const leaves = this.#leaves.get(log_id) ?? [];
    const added = entities.map((entity, at) => this.#record(log_id, leaves.length + at, entity));
    for (const record of added) this.records.set(record._id, record);
    if (finish) this.finish(log_id, added);
  }

  /** What follows the records of a batch: tiles, edge, size. */
  finish(log_id: string, added: readonly Document[]): void {
    const leaves = this.#leaves.get(log_id) ?? [];
    const hashes = added.map(leafOf);
    this.#leaves.set(log_id, [...leaves, ...hashes]);
    const grown = extendEdge(this.logs.get(log_id)?.edges ?? EMPTY_EDGE, hashes);
    for (const { level, index, hashes: bytes } of grown.tiles) {
      const _id = tileId(log_id, level, index);
      this.tiles.set(_id, { _id, log_id, level, index, hashes: bytes });
    }
    const { edge } = grown;
    this.logs.set(log_id, { log_id, size: edge.size, next_offset: edge.size, root: edgeRoot(edge), edge: edge.levels, edges: edge });
  }

  sign(log_id: string): void {
    const { size = 0, root } = this.logs.get(log_id) ?? {};
    const from = this.kept.findLast((one) => one.log_id === log_id)?.size ?? 0;
    const signer = signerOf(`${PREFIX}/${log_id}`, seed);
    const note = signCheckpoint({ origin: signer.name, size, root: root as Buffer }, signer);
    this.checkpoints.push({ _id: checkpointId(log_id, size), log_id, size, root, note });
    this.kept.push({ log_id, from, size, note, hashes: Buffer.concat(this.#leaves.get(log_id)?.slice(from) ?? []) });
  }

  get sorted(): Document[] {
    return [...this.records.values()].sort((left, right) => (left._id < right._id ? -1 : 1));
  }

  outside(withLeaves = true): Outside {
    const entries = this.kept.map(({ log_id, from, size, note, hashes }, line): OutsideEntry => {
      const read = () => Promise.resolve({ note, leaf_hashes: withLeaves ? hashes : undefined });
      return { line: line + 1, log_id, size, from: withLeaves ? from : undefined, read };
    });
    return {
      ...{ count: entries.length, torn: 0, logIds: () => [...new Set(this.kept.map((one) => one.log_id))] },
      async *entries(logId) {
        yield* entries.filter(({ log_id }) => log_id === logId);
      },
    };
  }

  source(outside: Outside = nothingOutside): VerifySource {
    const checkpointsOf = (logId: string) => this.checkpoints.filter(({ _id }) => _id.startsWith(`${logId}/`));
    const { records, logs, tiles, checkpoints, sorted } = { ...this, records: this.records, sorted: () => this.sorted };
    return {
      ...{ outside, strangeIds: async () => [] },
      logs: async () => [...logs.values()],
      async *records() {
        for (let at = 0, all = sorted(); at < all.length; at += 700) yield all.slice(at, at + 700);
      },
      tiles: async (logId, level, from) => [from, from + 1, from + 2].flatMap((index) => tiles.get(tileId(logId, level, index)) ?? []),
      async *checkpoints(logId) {
        yield* checkpointsOf(logId);
      },
      checkpointLogs: async () => [...new Set(checkpoints.map(({ log_id }) => String(log_id)))],
      newestCheckpoint: async (logId) => checkpointsOf(logId).at(-1),
      recordsFrom: async (logId, index) => sorted().filter((one) => one.log_id === logId && one.leaf_index >= index),
      async *versions(key) {
        const found = [...records.values()].filter(({ entity_key }) => entity_key === key) as VersionRow[];
        yield* found.sort((left, right) => left.version - right.version);
      },
    };
  }

  verify(options: Partial<VerifyOptions> = {}, outside?: Outside): Promise<VerifyResult> {
    return verifyAudit(this.source(outside), { keys, settleMs: 1, ...options });
  }

  #record(log_id: string, leaf_index: number, entity: string): Document {
    const _id = recordId(log_id, leaf_index);
    const place = { _id, log_id, leaf_index, event_id: `e-${_id}` };
    if (entity === '') return { ...place, kind: 'void', entity_key: `#void:${_id}`, version: 0, duplicate_of: 'x' };
    const key = entityKey('company', 'card', entity);
    const before = this.#versions.get(key);
    if (before) before.is_active = false;
    const names = { entity_key: key, company_id: 'company', entity_type: 'card', entity_id: entity };
    const action = { action_type: before ? 'update' : 'new', active_after: true, is_active: true };
    const record = { ...place, kind: 'event', offset: leaf_index, ...names, version: (before?.version ?? 0) + 1, ...action };
    this.#versions.set(key, record);
    return record;
  }
}

/** Logs of odd sizes, entities that live in several of them, places without events, checkpoints here and there. */
export function auditOf(sizes: readonly number[], batch = 90): MemoryAudit {
  const made = new MemoryAudit();
  for (const [log, size] of sizes.entries()) {
    for (let from = 0, turn = 0; from < size; from += batch, turn += 1) {
      const names = Array.from({ length: Math.min(batch, size - from) }, (_, at) => {
        const index = from + at;
        return index % 97 === 50 ? '' : `c-${index % 7 === 0 ? index % 5 : `${log}-${index % 40}`}`;
      });
      made.add(`log-${log}`, names);
      if (turn % 3 === 0 || from + batch >= size) made.sign(`log-${log}`);
    }
  }
  return made;
}
