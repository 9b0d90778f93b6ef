import type { ActionType } from '@biz/envelope';
import { AppError } from '@biz/errors';
import { type JsonObject, mergeInto, parseJson } from '@biz/json';
import { isActiveAfter } from '../ingest/versions.ts';
import type { Outline } from './order.ts';
import { isToken } from './token.ts';

/** A record as the fold needs it. */
export interface Step extends Outline {
  action_type: ActionType;
  /** The payload, used up by the fold; or why there is none: not to be opened, or its key destroyed. */
  patch: JsonObject | 'sealed' | 'erased';
  /** Characters of the payload. */
  size: number;
  /** Whose data it is. */
  ownership_id: string;
}

/** Versions whose payload is not known: how many, and the first of them. */
export interface Gap {
  count: number;
  versions: number[];
}

/** An entity after a number of records. */
export interface Folded {
  state: JsonObject;
  /** Records that could be merged; when there are none, nothing is known of the state. */
  known: number;
  sealed: Gap;
  erased: Gap;
  /** Versions that the producer counted and that are not there; 0 when it does not count. */
  missing: number;
  /** The newest of the versions merged. */
  version: number;
  /** The record merged last. */
  last: Pick<Step, 'record_id' | 'action_type' | 'action_at'> | null;
  active: boolean;
  deleted: boolean;
  /** The latest that any record says that it happened. */
  latest: number;
  /** Records merged or found closed, and whose data they are (the first of them). */
  records: number;
  owners: ReadonlySet<string>;
}

/** Versions of a gap that are listed; more are only counted. */
const LISTED = 1_000;
/** Owners that are kept apart. */
const MOST_OWNERS = 10_000;
// A merge patch may nest as deep as a message may (64); a state is never deeper than the deepest of its patches.
const DEPTH = 64;

/**
 * The state of an entity: payloads merged in order (RFC 7396). What is sealed is one value, whatever it holds. A delete leaves the state as it was; `new`
 * after it begins from nothing. `maxSize` bounds the state, in characters of JSON: beyond it AppError `too_large`.
 */
export class Fold {
  readonly #maxSize: number;
  #size = 0;
  #own = true;
  #entityVersion = 0;
  #missing = 0;
  readonly #owners = new Set<string>();
  #folded: Omit<Folded, 'missing' | 'owners'> = {
    state: {},
    known: 0,
    ...nothingUnknown(),
    version: 0,
    last: null,
    active: true,
    deleted: false,
    latest: Number.NEGATIVE_INFINITY,
    records: 0,
  };

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  push(step: Step): void {
    const folded = this.#folded;
    if (folded.deleted && step.action_type === 'new') {
      Object.assign(folded, { state: {}, known: 0, ...nothingUnknown() });
      this.#size = 0;
    }
    if (typeof step.patch === 'string') {
      note(folded[step.patch], step.version);
    } else {
      folded.known += 1;
      folded.state = mergeInto(folded.state, step.patch, isToken) as JsonObject;
      this.#bound(step.size);
    }
    folded.version = Math.max(folded.version, step.version);
    folded.last = { record_id: step.record_id, action_type: step.action_type, action_at: step.action_at };
    folded.active = isActiveAfter(step.action_type, folded.active);
    folded.deleted = step.action_type === 'delete' || (folded.deleted && step.action_type !== 'new' && step.action_type !== 'enable');
    folded.latest = Math.max(folded.latest, step.action_at.getTime());
    folded.records += 1;
    if (this.#owners.size < MOST_OWNERS) this.#owners.add(step.ownership_id);
    this.#count(step.entity_version);
  }

  /** The entity as it is now; what is pushed later does not change it. */
  result(): Folded {
    const { state, sealed, erased, ...rest } = this.#folded;
    return {
      ...rest,
      state: parseJson(JSON.stringify(state), { maxDepth: DEPTH }) as JsonObject,
      sealed: { ...sealed, versions: [...sealed.versions] },
      erased: { ...erased, versions: [...erased.versions] },
      missing: this.#own ? this.#missing : 0,
      owners: new Set(this.#owners),
    };
  }

  #count(entityVersion: number | null): void {
    if (entityVersion === null) this.#own = false;
    else if (entityVersion > this.#entityVersion) {
      this.#missing += entityVersion - this.#entityVersion - 1;
      this.#entityVersion = entityVersion;
    }
  }

  /** A state is no larger than all patches since it was measured; so it is measured seldom. */
  #bound(added: number): void {
    this.#size += added;
    if (this.#size <= this.#maxSize) return;
    this.#size = JSON.stringify(this.#folded.state).length;
    if (this.#size > this.#maxSize / 2) {
      throw new AppError('too_large', 'The state is larger than an answer may be; its records can be read one by one.');
    }
  }
}

function nothingUnknown(): Pick<Folded, 'sealed' | 'erased'> {
  return { sealed: { count: 0, versions: [] }, erased: { count: 0, versions: [] } };
}

function note(gap: Gap, version: number): void {
  gap.count += 1;
  if (gap.versions.length < LISTED) gap.versions.push(version);
}
