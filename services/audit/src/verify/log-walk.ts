import type { Document } from 'mongodb';
import { recordId } from '../keys.ts';
import { leafOf } from '../leaf.ts';
import type { CheckpointWalk } from './checkpoint-walk.ts';
import type { Finding } from './findings.ts';
import type { StoredLog, StoredTree } from './stored-tree.ts';
import { TILE_WIDTH, Tree } from './tree.ts';

/** A leaf whose record and stored hash say two things, until something above them tells which is right. */
interface Doubt {
  index: number;
  record: Buffer;
  stored: Buffer;
}

export interface LogWalkParts {
  log: StoredLog;
  stored: StoredTree;
  checkpoints: CheckpointWalk;
  report: (finding: Finding) => void;
}

/** Doubts that are kept before it is taken that the records are wrong. */
const MOST_DOUBTS = 10_000;

/**
 * One log, leaf by leaf: makes the tree again from the records and compares it with all that says what it was. Where a record and
 * its stored hash differ, both trees go on side by side until a stored node, a checkpoint or the root fits one of them: then it is known whether
 * the record or the tile was changed, and one fault does not make all that follows look wrong.
 */
export class LogWalk {
  readonly #parts: LogWalkParts;
  /** Next place. */
  #next = 0;
  /** As the records say; null once a leaf is known from nowhere. */
  #tree: Tree | null = new Tree();
  /** As the stored tree says, while it says something else. */
  #other: Tree | null = null;
  #doubts: Doubt[] = [];
  /** The last leaf that is wrong in `#tree`, so that nodes above it must differ. */
  #lastBad = -1;
  #missingTile = '';

  constructor(parts: LogWalkParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#parts.log.size;
  }

  /** The next record, in order of places; those left out are missing. */
  async add(index: number, record: Document): Promise<void> {
    await this.#missingUpTo(index);
    await this.#leaf(this.#hashOf(index, record));
  }

  /** The end of the log's records. */
  async end(): Promise<{ root: Buffer | undefined }> {
    const { log, stored, report } = this.#parts;
    await this.#missingUpTo(log.size);
    await this.#checkpointsHere();
    const root = this.#tree?.root();
    if (log.size > 0 && (log.edge === undefined || log.root === undefined)) {
      report(this.#range('tree_differs', 0, log.size - 1, `the log's document has no tree`));
    } else if (!stored.edgeFits()) {
      report(this.#range('tree_differs', 0, log.size - 1, `the edge of log ${log.log_id} is not of its size`));
    } else if (log.root !== undefined && !this.#judge(log.root, (tree) => tree.root()) && this.#lastBad < 0) {
      report({
        ...this.#range('tree_differs', 0, log.size - 1, `the root in the document of log ${log.log_id}`),
        ...hashes(root, log.root),
      });
    }
    this.#settle('record');
    await this.#parts.checkpoints.end(log.size);
    return { root };
  }

  #hashOf(index: number, record: Document): Buffer | undefined {
    const { log, report } = this.#parts;
    if (record.log_id !== log.log_id || record.leaf_index !== index) {
      report(this.#at('place_differs', index, `its fields log_id and leaf_index`));
    }
    try {
      return leafOf(record);
    } catch {
      // Nested too deep to be read, for example: no record that was ever hashed.
      report(this.#at('leaf_differs', index, 'no document that has a canonical form'));
      return undefined;
    }
  }

  async #missingUpTo(index: number): Promise<void> {
    if (this.#next === index) return;
    const finding = this.#range('record_missing', this.#next, index - 1, 'the records of the log');
    this.#parts.report({ ...finding, record_id: recordId(this.#parts.log.log_id, this.#next) });
    while (this.#next < index) await this.#leaf(undefined);
  }

  /** A leaf by its record, or what is known of it without one. */
  async #leaf(record: Buffer | undefined): Promise<void> {
    const index = this.#next;
    const { stored, checkpoints } = this.#parts;
    await this.#checkpointsHere();
    const storedHash = await stored.hash(0, index);
    if (storedHash === undefined) this.#noTile(0, index);
    const kept = checkpoints.leafAt(index);
    const adopted = kept === undefined ? this.#compare(index, record, storedHash) : this.#compareKept(index, record, storedHash, kept);
    this.#next += 1;
    if (adopted === undefined) {
      this.#settle('record');
      this.#tree = null;
      return;
    }
    const nodes = this.#tree?.add(adopted) ?? [];
    const others = this.#other?.add(storedHash ?? adopted) ?? [];
    for (let level = 1; level <= nodes.length; level += 1) await this.#node(level, nodes[level - 1] as Buffer, others[level - 1]);
  }

  #compare(index: number, record: Buffer | undefined, stored: Buffer | undefined): Buffer | undefined {
    if (record !== undefined && stored !== undefined && !record.equals(stored) && this.#tree !== null) {
      this.#other ??= this.#tree.clone();
      this.#doubts.push({ index, record, stored });
      if (this.#doubts.length > MOST_DOUBTS) {
        this.#settle('record');
        return stored;
      }
    }
    return record ?? stored;
  }

  /** With a leaf hash that hangs under a checkpoint kept outside there is no doubt. */
  #compareKept(index: number, record: Buffer | undefined, stored: Buffer | undefined, kept: { hash: Buffer; subject: string }): Buffer {
    const storedFits = stored?.equals(kept.hash) ?? false;
    if (record !== undefined && !record.equals(kept.hash)) {
      this.#parts.report({ ...this.#at('leaf_differs', index, kept.subject), ...hashes(kept.hash, record) });
      if (!storedFits) this.#lastBad = index;
    } else if (stored !== undefined && !storedFits) {
      this.#parts.report({ ...this.#at('tree_differs', index, this.#parts.stored.nameAt(0, index)), ...hashes(kept.hash, stored) });
      return kept.hash;
    }
    // What the stored tree and its checkpoints agree on goes on, also where it was all made anew.
    return stored ?? record ?? kept.hash;
  }

  /** A finished node of the tree against the stored one. */
  async #node(level: number, node: Buffer, other: Buffer | undefined): Promise<void> {
    const { stored, report } = this.#parts;
    const width = TILE_WIDTH ** level;
    const index = this.#next / width - 1;
    const hash = await stored.hash(level, index);
    if (hash === undefined) {
      this.#noTile(level, index);
    } else if (hash.equals(node)) {
      this.#settle('stored');
    } else if (other !== undefined && hash.equals(other)) {
      this.#settle('record');
    } else if (this.#lastBad < index * width) {
      this.#lastBad = this.#next - 1;
      report({
        ...this.#range('tree_differs', index * width, this.#next - 1, stored.nameAt(level, index)),
        ...hashes(node, hash),
      });
    }
  }

  async #checkpointsHere(): Promise<void> {
    const { checkpoints } = this.#parts;
    if (checkpoints.due > this.#next) return;
    await checkpoints.at(this.#next, {
      judge: (root) => this.#tree === null || this.#judge(root, (tree) => tree.root()),
      trees: () => [this.#tree, this.#other].filter((tree) => tree !== null),
      root: () => this.#tree?.root(),
    });
  }

  /** Whether one of the trees has this hash; then it is the right one. */
  #judge(expected: Buffer, hashOf: (tree: Tree) => Buffer): boolean {
    if (this.#tree === null) return true;
    if (hashOf(this.#tree).equals(expected)) {
      this.#settle('stored');
      return true;
    }
    if (this.#other === null || !hashOf(this.#other).equals(expected)) return false;
    this.#settle('record');
    return true;
  }

  /** The doubts are over: it is the records that are wrong, or what is stored of the tree. */
  #settle(wrong: 'record' | 'stored'): void {
    if (this.#other === null) return;
    const { stored, report } = this.#parts;
    for (const doubt of this.#doubts) {
      const subject = stored.nameAt(0, doubt.index);
      if (wrong === 'record') {
        report({ ...this.#at('leaf_differs', doubt.index, subject), ...hashes(doubt.stored, doubt.record) });
      } else {
        report({ ...this.#at('tree_differs', doubt.index, subject), ...hashes(doubt.record, doubt.stored) });
      }
    }
    if (wrong === 'record') this.#tree = this.#other;
    this.#other = null;
    this.#doubts = [];
  }

  /** Once for each tile. */
  #noTile(level: number, index: number): void {
    const name = this.#parts.stored.nameAt(level, index);
    if (this.#missingTile === name || (this.#parts.log.edge === undefined && name.startsWith('the edge'))) return;
    this.#missingTile = name;
    const width = TILE_WIDTH ** (level + 1);
    const from = Math.floor(index / TILE_WIDTH) * width;
    const to = Math.min(from + width, this.size) - 1;
    this.#parts.report(this.#range('tree_differs', from, to, `${name}, which is not there or not whole`));
  }

  #at(reason: Finding['reason'], index: number, subject: string): Finding {
    const { log_id } = this.#parts.log;
    return { reason, log_id, leaf_index: index, record_id: recordId(log_id, index), subject };
  }

  #range(reason: Finding['reason'], from: number, to: number, subject: string): Finding {
    return from === to ? this.#at(reason, from, subject) : { ...this.#at(reason, from, subject), leaf_to: to, record_id: null };
  }
}

function hashes(expected: Buffer | undefined, found: Buffer | undefined): Pick<Finding, 'expected' | 'found'> {
  return { ...(expected && { expected: expected.toString('hex') }), ...(found && { found: found.toString('hex') }) };
}
