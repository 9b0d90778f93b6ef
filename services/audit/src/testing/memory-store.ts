import { type Edge, EMPTY_EDGE, type Tile } from '@biz/merkle';
import type { FindingDocument } from '../completeness/finding.ts';
import type { EntityState } from '../ingest/batch.ts';
import type { AuditStore, DeadLetterDocument, EntityDocument, LogAdvance, OwnershipMerge, VoidDocument } from '../ingest/store.ts';
import type { RecordDocument } from '../record.ts';

type AnyRecord = RecordDocument | VoidDocument;

export interface MemoryOwnership extends Omit<OwnershipMerge, 'leaves'> {
  counts: Map<string, { upto: number; count: number }>;
}

/** The consumer's steps on plain maps, for simulations: the same promises as the store on MongoDB, one document an effect. */
export class MemoryStore implements AuditStore {
  readonly recordsById = new Map<string, AnyRecord>();
  readonly entities = new Map<string, EntityDocument>();
  readonly ownerships = new Map<string, MemoryOwnership>();
  readonly logs = new Map<string, LogAdvance>();
  readonly tiles = new Map<string, Tile>();
  readonly findings = new Map<string, FindingDocument>();
  readonly letters = new Map<string, DeadLetterDocument>();
  /** Called before each effect and each question; may wait (another consumer gets its turn) or throw (the process dies). */
  readonly #step: () => Promise<void>;
  readonly #shuffle: <T>(list: readonly T[]) => T[];

  constructor(step: () => Promise<void> = async () => {}, shuffle: <T>(list: readonly T[]) => T[] = (list) => [...list]) {
    this.#step = step;
    this.#shuffle = shuffle;
  }

  async logState(logId: string) {
    await this.#step();
    const { size = 0, applied = 0, edge = EMPTY_EDGE } = this.logs.get(logId) ?? {};
    return { size, applied, edge };
  }

  async leavesBetween(logId: string, from: number, to: number) {
    await this.#step();
    const all = [...this.recordsById.values()].filter((one) => one.log_id === logId && one.leaf_index >= from && one.leaf_index < to);
    return all.sort((a, b) => a.leaf_index - b.leaf_index);
  }

  async recordsBetween(logId: string, from: number, to: number) {
    await this.#step();
    const all = [...this.recordsById.values()].filter((one): one is RecordDocument => one.kind === 'event' && one.log_id === logId);
    return all.filter(({ leaf_index }) => leaf_index >= from && leaf_index < to).sort((a, b) => a.leaf_index - b.leaf_index);
  }

  async placedFrom(logId: string, base: number) {
    await this.#step();
    const placed = [...this.recordsById.values()].filter((one) => one.log_id === logId && one.leaf_index >= base);
    return placed.sort((a, b) => a.leaf_index - b.leaf_index).map((one) => ({ offset: -1, ...one }));
  }

  async findEvents(eventIds: readonly string[]) {
    await this.#step();
    return [...this.recordsById.values()].filter(({ event_id }) => eventIds.includes(event_id)).map((one) => ({ offset: -1, ...one }));
  }

  async records(ids: readonly string[]) {
    await this.#step();
    return ids.map((id) => this.recordsById.get(id)).filter((one): one is RecordDocument => one?.kind === 'event');
  }

  async heads(keys: readonly string[]) {
    await this.#step();
    const states = new Map<string, EntityState>();
    for (const key of keys) {
      const head = this.entities.get(key);
      if (head !== undefined) {
        const { version, record_id, is_active } = head;
        states.set(key, { version, newest: { record_id, active: is_active }, flagged: is_active ? [record_id] : [] });
      }
    }
    return states;
  }

  async exactStates(keys: readonly string[], fromVersion: ReadonlyMap<string, number>) {
    await this.#step();
    const states = new Map<string, EntityState>();
    for (const key of keys) {
      const from = Math.min(this.entities.get(key)?.version ?? 1, fromVersion.get(key) ?? Number.POSITIVE_INFINITY);
      const versions = this.versionsOf(key).filter(({ version }) => version >= from);
      const newest = versions.at(-1);
      if (newest !== undefined) {
        const flagged = versions.filter(({ is_active }) => is_active).map(({ _id }) => _id);
        states.set(key, { version: newest.version, newest: { record_id: newest._id, active: newest.active_after }, flagged });
      }
    }
    return states;
  }

  versionsOf(key: string): RecordDocument[] {
    const all = [...this.recordsById.values()].filter((one): one is RecordDocument => one.kind === 'event' && one.entity_key === key);
    return all.sort((a, b) => a.version - b.version);
  }

  async insert(documents: readonly AnyRecord[]) {
    for (const document of documents) {
      await this.#step();
      if (this.#isTaken(document)) return false;
      this.recordsById.set(document._id, { ...document });
    }
    return true;
  }

  #isTaken(document: AnyRecord): boolean {
    return [...this.recordsById.values()].some(
      (one) =>
        one._id === document._id ||
        one.event_id === document.event_id ||
        (one.entity_key === document.entity_key && one.version === document.version),
    );
  }

  async clearActive(ids: readonly string[]) {
    for (const id of ids) {
      await this.#step();
      const record = this.recordsById.get(id);
      if (record?.kind === 'event') {
        record.is_active = false;
      }
    }
  }

  async raiseHeads(heads: readonly EntityDocument[]) {
    for (const head of this.#shuffle(heads)) {
      await this.#step();
      if (head.version > (this.entities.get(head._id)?.version ?? 0)) {
        this.entities.set(head._id, head);
      }
    }
  }

  async mergeOwnerships(logId: string, merges: readonly OwnershipMerge[]) {
    for (const { leaves, ...merge } of this.#shuffle(merges)) {
      await this.#step();
      const known = this.ownerships.get(merge._id) ?? { ...merge, counts: new Map() };
      const { upto, count } = known.counts.get(logId) ?? { upto: -1, count: 0 };
      known.counts.set(logId, {
        upto: Math.max(upto, ...leaves),
        count: count + leaves.filter((leaf) => leaf > upto).length,
      });
      known.first_seen = new Date(Math.min(Number(merge.first_seen), Number(known.first_seen)));
      known.last_seen = new Date(Math.max(Number(merge.last_seen), Number(known.last_seen)));
      known.entity_types = [...new Set([...known.entity_types, ...merge.entity_types])].sort();
      this.ownerships.set(merge._id, known);
    }
  }

  async saveFindings(findings: readonly FindingDocument[]) {
    for (const finding of findings) {
      await this.#step();
      this.findings.set(finding._id, this.findings.get(finding._id) ?? finding);
    }
  }

  async saveDeadLetters(letters: readonly DeadLetterDocument[]) {
    for (const letter of letters) {
      await this.#step();
      this.letters.set(letter._id, this.letters.get(letter._id) ?? letter);
    }
  }

  async saveTiles(logId: string, tiles: readonly Tile[]) {
    for (const tile of tiles) {
      await this.#step();
      this.tiles.set(`${logId}/${tile.level}/${tile.index}`, tile);
    }
  }

  async plantEdge(logId: string, edge: Edge) {
    await this.#step();
    const log = this.logs.get(logId);
    if (log !== undefined && log.size === edge.size) this.logs.set(logId, { ...log, edge });
  }

  async advance(logId: string, base: number, to: LogAdvance) {
    await this.#step();
    if ((this.logs.get(logId)?.size ?? 0) !== base) {
      return false;
    }
    this.logs.set(logId, to);
    return true;
  }
}
