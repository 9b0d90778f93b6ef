import type { Db } from 'mongodb';

/** How far Keycloak's events were told. Nothing personal: ids and times. */
export interface Cursor {
  /** Time of the newest event that was told, in milliseconds since 1970. */
  since: number;
  /** What was told of the events shortly before `since`: later ones of that time are still taken. */
  seen: { id: string; time: number }[];
  /** Groups of event ids that are being told; kept before they are, so that a restart tells the same ones again under the same ids. */
  plan: string[][];
  /** Grows with each write. */
  revision: number;
}

export type CursorStore = {
  load(): Promise<Cursor>;
  /** Writes the next state after `from`; false when somebody else did meanwhile. */
  save(from: Cursor, next: Omit<Cursor, 'revision'>): Promise<boolean>;
};

const id = 'keycloak';

export function createCursorStore(db: Db): CursorStore {
  const cursors = db.collection<Cursor & { _id: string }>('login_events', { writeConcern: { w: 'majority', journal: true } });
  return {
    async load() {
      const found = await cursors.findOne({ _id: id });
      return found ?? { since: 0, seen: [], plan: [], revision: 0 };
    },
    async save({ revision }, next) {
      const document = { ...next, revision: revision + 1 };
      if (revision > 0) return (await cursors.replaceOne({ _id: id, revision }, document)).matchedCount === 1;
      // the very first: of two processes one inserts
      const { upsertedCount } = await cursors.updateOne({ _id: id }, { $setOnInsert: document }, { upsert: true });
      return upsertedCount === 1;
    },
  };
}
