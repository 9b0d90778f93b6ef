/** What is known of a record's place among the versions of its entity. */
export interface Outline {
  version: number;
  /** The version that the producer counts by; null when it is none of our services, or names none. */
  entity_version: number | null;
  record_id: string;
  action_at: Date;
}

/** Where a record comes in the fold: by the producer's version, else by the audit's. */
type Position = readonly [number, number];

/** An order of records that the audit did not get in order. */
export interface Order {
  /** Records that belong before an earlier version, in order; the others are in order of the audit's version. */
  late: readonly Outline[];
  /** Records beyond this one are not part of the state; null when none is. */
  last: Outline | null;
  compare(one: Outline, other: Outline): number;
}

/**
 * Finds the order of records that are added in order of the audit's version. While every one of them is of our own services and names the
 * producer's version, that one counts: a message that was lost and published again gets a later version here, but its patch belongs where it
 * was made. One record of anybody else, and the audit's version counts for all. So the state at a version depends on nothing that came later.
 */
export class OrderScan {
  readonly #at: number;
  #own = true;
  #late: Outline[] = [];
  #furthest: Outline | null = null;
  #lastByProducer: Outline | null = null;
  #lastByAudit: Outline | null = null;

  /** With a time, the order ends with the last record that happened then or before. */
  constructor(at?: Date) {
    this.#at = at?.getTime() ?? Number.POSITIVE_INFINITY;
  }

  /** Whether the records so far are in the order of the audit's versions. */
  get inOrder(): boolean {
    return this.#late.length === 0;
  }

  add(one: Outline): void {
    if (this.#own && one.entity_version === null) {
      this.#own = false;
      this.#late = [];
    }
    const inTime = one.action_at.getTime() <= this.#at;
    if (inTime) this.#lastByAudit = one;
    if (!this.#own) return;
    if (inTime && (this.#lastByProducer === null || byProducer(one, this.#lastByProducer) > 0)) this.#lastByProducer = one;
    if (this.#furthest === null || byProducer(one, this.#furthest) > 0) this.#furthest = one;
    else this.#late.push(one);
  }

  result(): Order {
    const compare = this.#own ? byProducer : byAudit;
    return { late: this.#late.toSorted(compare), last: this.#own ? this.#lastByProducer : this.#lastByAudit, compare };
  }
}

function byAudit(one: Outline, other: Outline): number {
  return one.version - other.version;
}

/** A version that the producer used twice keeps the audit's order. */
function byProducer(one: Outline, other: Outline): number {
  const [first, second]: Position = [one.entity_version ?? 0, one.version];
  return first - (other.entity_version ?? 0) || second - other.version;
}
