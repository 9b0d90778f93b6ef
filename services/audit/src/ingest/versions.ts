import type { ActionType, ReadEvent } from '@biz/envelope';
import type { EntityState, HeadRaise, VersionAt } from './plan.ts';

interface Outcome {
  head: { version: number } & VersionAt;
  added: number;
  shared: boolean;
}

const unknown: EntityState = { version: 0, newest: null, beyond: new Map(), flagged: [], shared: true };

/** Versions of the entities of a batch: the next free one, gapless from 1. */
export class Versions {
  readonly #known: ReadonlyMap<string, EntityState>;
  readonly #now = new Map<string, { version: number; newest: VersionAt | null; added: number; event: ReadEvent }>();

  constructor(known: ReadonlyMap<string, EntityState>) {
    this.#known = known;
  }

  next(key: string, event: ReadEvent, record: string): { version: number; active_after: boolean } {
    const state = this.#state(key);
    const now = this.touch(key, event);
    this.#skipExisting(state, now);
    now.version += 1;
    now.added += 1;
    const active = isActiveAfter(event.action_type, now.newest?.active ?? true);
    now.newest = { record_id: record, active };
    return { version: now.version, active_after: active };
  }

  touch(key: string, event: ReadEvent) {
    const known = this.#now.get(key);
    if (known !== undefined) {
      known.event = event;
      return known;
    }
    const { version, newest } = this.#state(key);
    const now = { version, newest, added: 0, event };
    this.#now.set(key, now);
    return now;
  }

  outcome(key: string): Outcome {
    const state = this.#state(key);
    const now = this.#now.get(key) as { version: number; newest: VersionAt | null; added: number };
    let head = { version: now.version, record_id: now.newest?.record_id ?? '', active: now.newest?.active ?? false };
    for (const [version, at] of state.beyond) {
      if (version > head.version) {
        head = { version, ...at };
      }
    }
    return { head, added: now.added, shared: state.shared };
  }

  *heads(): Generator<HeadRaise> {
    for (const [key, { event }] of this.#now) {
      const { head } = this.outcome(key);
      if (head.version > 0) {
        yield { entity_key: key, ...head, event };
      }
    }
  }

  flagged(key: string): readonly string[] {
    return this.#state(key).flagged;
  }

  #state(key: string): EntityState {
    return this.#known.get(key) ?? unknown;
  }

  #skipExisting(state: EntityState, now: { version: number; newest: VersionAt | null }): void {
    for (let at = state.beyond.get(now.version + 1); at !== undefined; at = state.beyond.get(now.version + 1)) {
      now.version += 1;
      now.newest = at;
    }
  }
}

/** An update neither wakes a disabled entity nor a deleted one. */
function isActiveAfter(action: ActionType, before: boolean): boolean {
  switch (action) {
    case 'new':
    case 'enable':
      return true;
    case 'delete':
    case 'disable':
      return false;
    case 'update':
      return before;
  }
}
