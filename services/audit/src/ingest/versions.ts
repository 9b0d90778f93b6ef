import type { ActionType, ReadEvent } from '@biz/envelope';
import type { EntityState, HeadRaise, VersionAt } from './batch.ts';

interface Progress {
  version: number;
  newest: VersionAt | null;
  flagged: string[];
  event: ReadEvent;
}

/** Versions of the entities of a batch: each the next one, gapless from 1. */
export class Versions {
  readonly #known: ReadonlyMap<string, EntityState>;
  readonly #now = new Map<string, Progress>();

  constructor(known: ReadonlyMap<string, EntityState>) {
    this.#known = known;
  }

  /** The entity is part of the batch, though by a record that is there already. */
  touch(key: string, event: ReadEvent): Progress {
    let now = this.#now.get(key);
    if (now === undefined) {
      const { version = 0, newest = null, flagged = [] } = this.#known.get(key) ?? {};
      now = { version, newest, flagged: [...flagged], event };
      this.#now.set(key, now);
    }
    return now;
  }

  next(key: string, event: ReadEvent, record: string): { version: number; active_after: boolean } {
    const now = this.touch(key, event);
    const active = isActiveAfter(event.action_type, now.newest?.active ?? true);
    now.version += 1;
    now.newest = { record_id: record, active };
    if (active) {
      now.flagged.push(record);
    }
    return { version: now.version, active_after: active };
  }

  *heads(): Generator<HeadRaise> {
    for (const [key, { version, newest, event }] of this.#now) {
      if (newest !== null) {
        yield { entity_key: key, version, ...newest, event };
      }
    }
  }

  *superseded(): Generator<string> {
    for (const { newest, flagged } of this.#now.values()) {
      yield* flagged.filter((record) => record !== newest?.record_id);
    }
  }
}

/** An update neither wakes a disabled entity nor a deleted one. */
export function isActiveAfter(action: ActionType, before: boolean): boolean {
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
