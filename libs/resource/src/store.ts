import { createEventStore, type EventStore, type Mark, type RulesByType } from '@biz/eventstore';
import type { Log } from '@biz/service';
import type { Db } from 'mongodb';

/** The kinds of entities of a service, as its event store takes them. */
export type StoreModels = readonly { entityType: string; rules: RulesByType[string]; filters: readonly string[] }[];

/** A service's event store: the same for the service, and for whoever makes its state again. */
export function openStore(db: Db, options: { models: StoreModels; marks?: readonly Mark[]; log: Log }): EventStore {
  const { models, marks = [], log } = options;
  return createEventStore({
    db,
    entities: Object.fromEntries(models.map(({ entityType, rules }) => [entityType, rules])),
    lookups: [...new Set(models.flatMap(({ filters }) => filters))],
    marks,
    log,
  });
}
