import { randomInt } from 'node:crypto';
import type { Document } from 'mongodb';
import { entityKey } from '../keys.ts';
import { type Column, EntityTable } from './entity-table.ts';
import type { Finding } from './findings.ts';

/** Bits of a row: the newest version leaves its entity active; it stands beyond the log's size; the entity needs a closer look. */
const ACTIVE = 1;
const BEYOND = 2;
const LOOK = 4;

const HIGHEST_VERSION = 2 ** 32 - 1;

/**
 * Versions and flags of all entities, in one pass and in constant memory each, whatever the order of the logs: that the versions are
 * exactly 1 to the newest is seen by their number and by sums of a secret hash of each. What does not fit is only doubtful,
 * since the store may be at work: `doubtful` names the entities to be looked at again.
 */
export class EntityCheck {
  readonly table = new EntityTable();
  readonly #seed = randomInt(HIGHEST_VERSION);
  readonly #report: (finding: Finding) => void;

  constructor(report: (finding: Finding) => void) {
    this.#report = report;
  }

  /** `inside`: the place is below the size that the log had when the walk began. */
  add(record: Document, inside: boolean): void {
    if (record.kind === 'void') {
      if (record.is_active !== undefined) this.#wrong(record, 'active_differs', 'a place without an event', 'no flag', record.is_active);
      return;
    }
    const row = fitsEntity(record) ? this.table.row(record.entity_key) : undefined;
    if (row === undefined) {
      this.#wrong(record, 'entity_differs', 'its company, entity type and entity id', undefined, record.entity_key);
      return;
    }
    const { version } = record;
    if (!Number.isInteger(version) || version < 1 || version > HIGHEST_VERSION) {
      this.#wrong(record, 'version_gap', 'a version', 'a number from 1', version);
      return;
    }
    this.#count(row, version);
    this.#follow(row, record, version, inside);
    if (inside) this.#flag(row, record, version);
  }

  /** Keys of the entities whose versions or flags do not fit. */
  *doubtful(): Generator<string> {
    const sums = this.#sumsOfGapless();
    for (let row = 0; row < this.table.size; row += 1) {
      const [newest, flagged, bits] = (['newest', 'flagged', 'bits'] as const).map((column) => this.table.get(row, column)) as Triple;
      const gapless =
        this.table.get(row, 'count') === newest &&
        this.table.get(row, 'sum') === sums[2 * newest] &&
        this.table.get(row, 'sum2') === sums[2 * newest + 1];
      // Beyond the size a newer version may be written already: then the flag is taken, or about to be.
      const fits = bits & BEYOND ? flagged === 0 || flagged === this.table.get(row, 'inside') : flagged === (bits & ACTIVE ? newest : 0);
      if (!gapless || !fits || bits & LOOK) yield this.table.key(row);
    }
  }

  #count(row: number, version: number): void {
    this.#add(row, 'count', 1);
    this.#add(row, 'sum', mixed(version, this.#seed));
    this.#add(row, 'sum2', mixed(version, ~this.#seed));
  }

  #follow(row: number, record: Document, version: number, inside: boolean): void {
    const newest = this.table.get(row, 'newest');
    const bits = this.table.get(row, 'bits');
    const before = version === 1 ? true : version === newest + 1 ? (bits & ACTIVE) !== 0 : undefined;
    const expected = activeAfter(record.action_type, before) ?? record.active_after;
    if (expected !== record.active_after) {
      this.#wrong(record, 'active_differs', `active_after, by action ${quoted(record.action_type)}`, expected, record.active_after);
    }
    if (version > newest) {
      this.table.set(row, 'newest', version);
      this.table.set(row, 'bits', (bits & LOOK) | (record.active_after === true ? ACTIVE : 0) | (inside ? 0 : BEYOND));
    }
    if (inside && version > this.table.get(row, 'inside')) this.table.set(row, 'inside', version);
  }

  #flag(row: number, record: Document, version: number): void {
    if (record.is_active === false) return;
    const flagged = this.table.get(row, 'flagged');
    if (flagged > 0 || record.is_active !== true || record.active_after !== true) {
      this.table.set(row, 'bits', this.table.get(row, 'bits') | LOOK);
    }
    this.table.set(row, 'flagged', Math.max(flagged, version));
  }

  #add(row: number, column: Column, value: number): void {
    this.table.set(row, column, this.table.get(row, column) + value);
  }

  /** For each number of versions the two sums of their hashes; as long as the longest history. */
  #sumsOfGapless(): Uint32Array {
    let longest = 0;
    for (let row = 0; row < this.table.size; row += 1) {
      if (this.table.get(row, 'count') === this.table.get(row, 'newest')) longest = Math.max(longest, this.table.get(row, 'newest'));
    }
    const sums = new Uint32Array(2 * (longest + 1));
    for (let version = 1; version <= longest; version += 1) {
      sums[2 * version] = (sums[2 * version - 2] as number) + mixed(version, this.#seed);
      sums[2 * version + 1] = (sums[2 * version - 1] as number) + mixed(version, ~this.#seed);
    }
    return sums;
  }

  #wrong(record: Document, reason: Finding['reason'], subject: string, expected: unknown, found: unknown): void {
    this.#report(findingAt(record, reason, subject, expected, found));
  }
}

type Triple = [number, number, number];

/** One version of an entity, as the closer look reads it. */
export interface VersionRow {
  _id: string;
  log_id: string;
  leaf_index: number;
  version: number;
  is_active: unknown;
  active_after: unknown;
}

/**
 * The closer look at one entity, over its rows in order of versions: gaps, doubles, and flags that are not on the newest version, or not
 * there. `sizeOf` gives the present sizes of the logs: what stands beyond is not finished and may still lack its effects.
 */
export async function examine(rows: AsyncIterable<VersionRow>, sizeOf: (logId: string) => number): Promise<Finding[]> {
  const found: Finding[] = [];
  let flagged: VersionRow[] = [];
  let newest: VersionRow | undefined;
  let next = 1;
  for await (const row of rows) {
    if (row.version === next - 1) {
      found.push(findingAt(row, 'version_repeated', `version ${row.version} of its entity`, next, row.version));
    } else if (row.version !== next) {
      const gap = row.version === next + 1 ? `version ${next}` : `versions ${next} to ${row.version - 1}`;
      found.push(findingAt(row, 'version_gap', `${gap} of its entity`, next, row.version));
    }
    next = row.version + 1;
    newest = row;
    if (row.leaf_index >= sizeOf(row.log_id)) continue;
    found.push(...flagged.map((older) => notNewest(older, row)));
    flagged = [];
    if (row.is_active === true && row.active_after === true) flagged.push(row);
    else if (row.is_active !== false) found.push(findingAt(row, 'active_differs', 'is_active', false, row.is_active));
  }
  if (newest !== undefined && newest.leaf_index < sizeOf(newest.log_id) && newest.active_after === true && newest.is_active === false) {
    found.push(findingAt(newest, 'active_differs', 'is_active of the newest version of its entity', true, false));
  }
  return found;
}

function notNewest(older: VersionRow, newer: VersionRow): Finding {
  return findingAt(older, 'active_differs', `is_active, though record ${newer._id} is a newer version`, false, older.is_active);
}

function findingAt(record: Document, reason: Finding['reason'], subject: string, expected: unknown, found: unknown): Finding {
  return {
    reason,
    log_id: String(record.log_id),
    leaf_index: Number(record.leaf_index),
    record_id: String(record._id),
    subject,
    ...(expected !== undefined && { expected: quoted(expected) }),
    ...(found !== undefined && { found: quoted(found) }),
  };
}

/** Short, and no text that could be a person's: these fields hold numbers, flags and keys unless somebody put something else there. */
function quoted(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  return typeof value === 'string' && /^[\w: -]{1,40}$/.test(value) ? value : `(${typeof value})`;
}

/** Whether the entity was active after the action; undefined where that follows from what was before, and this is not known. */
function activeAfter(action: unknown, before: boolean | undefined): boolean | undefined {
  switch (action) {
    case 'new':
    case 'enable':
      return true;
    case 'delete':
    case 'disable':
      return false;
    default:
      return before;
  }
}

function fitsEntity({ entity_key, company_id, entity_type, entity_id, long }: Document): boolean {
  const company = long?.company_id ?? company_id;
  return (
    typeof entity_key === 'string' && entity_key === entityKey(company, long?.entity_type ?? entity_type, long?.entity_id ?? entity_id)
  );
}

/** A 32-bit hash of a version that nobody outside can predict, so that no set of wrong versions has the sums of the right ones. */
function mixed(version: number, seed: number): number {
  let value = Math.imul(version ^ seed, 0x9e3779b1);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13) ^ seed, 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
