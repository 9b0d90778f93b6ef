/** What is wrong with a log, by one place in it. `docs/verify.md` tells what each reason means and what to do. */
export const reasons = [
  'leaf_differs',
  'record_missing',
  'record_unexpected',
  'record_unfinished',
  'place_differs',
  'tree_differs',
  'checkpoint_signature',
  'checkpoint_differs',
  'log_behind_checkpoint',
  'entity_differs',
  'version_gap',
  'version_repeated',
  'active_differs',
] as const;

export type Reason = (typeof reasons)[number];

/**
 * Reasons about an entity follow from other faults: a record that was deleted leaves a gap of versions, and an older version without its flag.
 * They are told after all that is wrong with records, places and trees.
 */
const derived: ReadonlySet<Reason> = new Set(['entity_differs', 'version_gap', 'version_repeated', 'active_differs']);

/** A fault and its place. It holds places, hashes, versions and flags, never what a record says, so any auditor may see it. */
export interface Finding {
  reason: Reason;
  /** Empty for a document that names no log. */
  log_id: string;
  /** The place; the first one when the fault is somewhere between it and `leaf_to`. Null for a document without a place. */
  leaf_index: number | null;
  /** The last place, when the very record cannot be told, or when many in a row are concerned. */
  leaf_to?: number;
  record_id: string | null;
  /** What it was compared with, or what it is about: `tile audit-0/0/000000003`, `the checkpoint of size 42 kept outside`. */
  subject: string;
  expected?: string;
  found?: string;
}

/** All faults are counted, the first ones kept. */
export class Findings {
  readonly #kept: Finding[] = [];
  readonly #limit: number;
  /** Logs in the order of the walk. */
  readonly #order = new Map<string, number>();
  total = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Tells the order of the logs: that of their records' ids. */
  orderLogs(logIds: readonly string[]): void {
    for (const id of logIds) this.#order.set(id, this.#order.size);
  }

  add(finding: Finding): void {
    this.total += 1;
    this.#kept.push(finding);
    // Faults of a log come nearly in order, so twice the limit is far enough to cut.
    if (this.#kept.length > 2 * this.#limit + 100) {
      this.#kept.sort((left, right) => this.#compare(left, right)).length = this.#limit;
    }
  }

  /** In order, the first one first. */
  list(): Finding[] {
    return this.#kept.toSorted((left, right) => this.#compare(left, right)).slice(0, this.#limit);
  }

  #compare(left: Finding, right: Finding): number {
    return (
      Number(derived.has(left.reason)) - Number(derived.has(right.reason)) ||
      this.#rank(left.log_id) - this.#rank(right.log_id) ||
      lastOf(left) - lastOf(right) ||
      reasons.indexOf(left.reason) - reasons.indexOf(right.reason)
    );
  }

  #rank(logId: string): number {
    return this.#order.get(logId) ?? this.#order.size;
  }
}

/** A fault that is known only to lie in a range comes after the faults inside the range, which tell more. */
function lastOf({ leaf_index, leaf_to, reason }: Finding): number {
  const exact = reason === 'record_missing' || reason === 'log_behind_checkpoint';
  return (exact ? leaf_index : (leaf_to ?? leaf_index)) ?? Number.POSITIVE_INFINITY;
}
