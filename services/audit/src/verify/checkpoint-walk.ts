import { NoteError } from '@biz/merkle';
import { recordId } from '../keys.ts';
import type { Finding } from './findings.ts';
import type { LogKeys } from './log-keys.ts';
import { type Outside, type OutsideEntry, startOf } from './outside.ts';
import type { Tree } from './tree.ts';

const HASH_BYTES = 32;

/** A checkpoint of the database, as it is stored. */
export interface StoredCheckpoint {
  _id: string;
  log_id: unknown;
  size: unknown;
  root: Buffer | undefined;
  note: unknown;
}

/** What the walk shows of itself at a size. */
export interface TreeView {
  /** Whether the tree has this root; true when it is not known. */
  judge(root: Buffer): boolean;
  trees(): Tree[];
  root(): Buffer | undefined;
}

/** A checkpoint kept outside whose leaves are being passed. */
interface Active {
  entry: OutsideEntry;
  root: Buffer;
  /** The tree at its size and the leaf hashes, when these hash up to the signed root from a tree that is known. */
  proven: { tree: Tree; leaves: Buffer } | undefined;
  hasLeaves: boolean;
}

export interface CheckpointWalkParts {
  logId: string;
  keys: LogKeys;
  /** Of the database, by size. */
  stored: AsyncIterator<StoredCheckpoint>;
  outside: Outside;
  report: (finding: Finding) => void;
}

/**
 * The checkpoints of one log beside the walk over its leaves: those of the database, and those kept outside. Leaf hashes that stand beside a
 * signed note count only when they hash up to its root, from the walk's own tree or from the checkpoint before.
 */
export class CheckpointWalk {
  /** The next size at which there is something to compare. */
  due = 0;
  /** Checkpoints compared, and the largest size at which one kept outside was right. */
  readonly compared = { stored: 0, outside: 0, outside_size: 0 };
  readonly #parts: CheckpointWalkParts;
  /** Outside, by where they begin; the next one to begin. */
  readonly #entries: AsyncGenerator<OutsideEntry>;
  #entry: OutsideEntry | undefined;
  #active: Active[] = [];
  /** Trees of what is kept outside, at the present size, where the log is another. */
  #strays: Tree[] = [];
  #next: { position: number; checkpoint: StoredCheckpoint } | undefined;
  /** The largest size at which a checkpoint of the database was right; it says nothing about those kept outside. */
  #goodStored = 0;
  #storedBad = false;
  #outsideBad = false;

  constructor(parts: CheckpointWalkParts) {
    this.#parts = parts;
    this.#entries = parts.outside.entries(parts.logId);
  }

  /** To be called at every size that is due, before the leaf at that place. */
  async at(size: number, view: TreeView): Promise<void> {
    if (size === 0) await Promise.all([this.#advanceStored(), this.#advanceOutside()]);
    for (const active of this.#active.filter(({ entry }) => entry.size === size)) this.#close(active, view);
    for (; this.#next?.position === size; await this.#advanceStored()) this.#judgeStored(this.#next.checkpoint, size, view);
    for (; this.#entry !== undefined && startOf(this.#entry) <= size; await this.#advanceOutside()) {
      const active = await this.#open(this.#entry, view);
      if (active === undefined) continue;
      this.#active.push(active);
      if (active.entry.size === size) this.#close(active, view);
    }
    this.#strays = [];
    const begins = this.#entry ? startOf(this.#entry) : Infinity;
    this.due = Math.min(this.#next?.position ?? Infinity, begins, ...this.#active.map(({ entry }) => entry.size));
  }

  /** The hash of a leaf as a checkpoint kept outside proves it. */
  leafAt(index: number): { hash: Buffer; subject: string } | undefined {
    for (const { entry, proven } of this.#active) {
      if (proven === undefined) continue;
      const at = (index - startOf(entry)) * HASH_BYTES;
      return { hash: proven.leaves.subarray(at, at + HASH_BYTES), subject: nameOf(entry) };
    }
    return undefined;
  }

  /** The log ended at this size: checkpoints beyond it say that it was longer. */
  async end(size: number): Promise<void> {
    let longest: OutsideEntry | undefined;
    const longer = (entry: OutsideEntry) => entry.size > Math.max(size, longest?.size ?? 0);
    for (const { entry } of this.#active) {
      if (longer(entry)) longest = entry;
    }
    for (; this.#entry !== undefined; await this.#advanceOutside()) {
      if (longer(this.#entry) && (await this.#opened(this.#entry)) !== undefined) longest = this.#entry;
    }
    if (longest === undefined) return;
    const finding = this.#finding('log_behind_checkpoint', size, longest.size, nameOf(longest));
    this.#parts.report({ ...finding, record_id: this.#id(size), expected: String(longest.size), found: String(size) });
  }

  async #advanceOutside(): Promise<void> {
    const next = await this.#entries.next();
    this.#entry = next.done ? undefined : next.value;
  }

  async #advanceStored(): Promise<void> {
    const { logId, stored, report } = this.#parts;
    this.#next = undefined;
    for (let one = await stored.next(); !one.done; one = await stored.next()) {
      const digits = one.value._id.slice(logId.length + 1);
      if (/^[0-9]{12,15}$/.test(digits)) {
        this.#next = { position: Number(digits), checkpoint: one.value };
        return;
      }
      report({
        reason: 'checkpoint_differs',
        log_id: logId,
        leaf_index: null,
        record_id: null,
        subject: 'a checkpoint whose id is of no size',
      });
    }
  }

  #judgeStored(checkpoint: StoredCheckpoint, size: number, view: TreeView): void {
    const { logId, keys, report } = this.#parts;
    const name = `the checkpoint of size ${size} in the database`;
    this.compared.stored += 1;
    const opened = this.#signed(() => keys.open(String(checkpoint.note)), name, size);
    if (opened === undefined) return;
    const same =
      opened.root.equals(checkpoint.root ?? Buffer.alloc(0)) && opened.size === checkpoint.size && opened.log_id === checkpoint.log_id;
    if (!same || opened.size !== size || opened.log_id !== logId) {
      report(this.#finding('checkpoint_differs', size - 1, size, `${name}, whose fields are not those of its signed note`));
      return;
    }
    if (view.judge(opened.root)) {
      this.#goodStored = size;
    } else if (!this.#storedBad) {
      this.#storedBad = true;
      report({
        ...this.#finding('checkpoint_differs', Math.max(this.#goodStored, this.compared.outside_size), size, name),
        ...roots(opened.root, view),
      });
    }
  }

  async #open(entry: OutsideEntry, view: TreeView): Promise<Active | undefined> {
    const opened = await this.#opened(entry);
    if (opened === undefined) return undefined;
    const { root, leaves } = opened;
    const fits = leaves !== undefined && leaves.length > 0 && leaves.length === (entry.size - startOf(entry)) * HASH_BYTES;
    return {
      entry,
      root,
      proven: fits ? prove([...view.trees(), ...this.#strays], leaves, root) : undefined,
      hasLeaves: leaves !== undefined,
    };
  }

  /** A checkpoint of the file, its signature verified. */
  async #opened(entry: OutsideEntry): Promise<{ root: Buffer; leaves: Buffer | undefined } | undefined> {
    const { logId, keys, report } = this.#parts;
    const { note, leaf_hashes } = await entry.read();
    const opened = this.#signed(() => keys.open(note), nameOf(entry), entry.size);
    if (opened === undefined) return undefined;
    if (opened.log_id !== logId || opened.size !== entry.size) {
      report(this.#finding('checkpoint_signature', entry.size - 1, entry.size, `${nameOf(entry)}, whose note is of another log or size`));
      return undefined;
    }
    return { root: opened.root, leaves: leaf_hashes };
  }

  #close(active: Active, view: TreeView): void {
    const { entry, root, proven, hasLeaves } = active;
    const name = nameOf(entry);
    this.#active = this.#active.filter((one) => one !== active);
    this.compared.outside += 1;
    if (view.judge(root)) {
      this.compared.outside_size = entry.size;
      if (proven === undefined && hasLeaves && entry.size > startOf(entry)) {
        this.#parts.report(this.#finding('checkpoint_differs', startOf(entry), entry.size, `${name}: the leaf hashes beside its note`));
      }
    } else if (proven !== undefined) {
      // The records that differ were named one by one.
      this.#strays.push(proven.tree);
    } else if (!this.#outsideBad) {
      this.#outsideBad = true;
      this.#parts.report({ ...this.#finding('checkpoint_differs', this.compared.outside_size, entry.size, name), ...roots(root, view) });
    }
  }

  #signed<T>(open: () => T, name: string, size: number): T | undefined {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
      this.#parts.report(this.#finding('checkpoint_signature', size - 1, size, `${name}: ${error.message}`));
      return undefined;
    }
  }

  /** Somewhere from a place to before a size. */
  #finding(reason: Finding['reason'], from: number, size: number, subject: string): Finding {
    const range = from < size - 1 ? { leaf_to: size - 1, record_id: null } : { record_id: this.#id(from) };
    return { reason, log_id: this.#parts.logId, leaf_index: from, ...range, subject };
  }

  #id(index: number): string {
    return recordId(this.#parts.logId, index);
  }
}

function nameOf({ size, line }: OutsideEntry): string {
  return `the checkpoint of size ${size} kept outside (line ${line})`;
}

function prove(trees: readonly Tree[], leaves: Buffer, root: Buffer): Active['proven'] {
  for (const from of trees) {
    const tree = from.clone();
    tree.addAll(leaves);
    if (tree.root().equals(root)) return { tree, leaves };
  }
  return undefined;
}

function roots(expected: Buffer, view: TreeView): Pick<Finding, 'expected' | 'found'> {
  const found = view.root();
  return { expected: expected.toString('hex'), ...(found && { found: found.toString('hex') }) };
}
