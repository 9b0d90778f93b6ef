import { type JsonObject, mergePatch } from '@biz/json';
import { v7 } from 'uuid';
import { firstVersion, schemaVersionOf, upcast } from './schema.ts';
import type { Claim, CurrentDocument, EntityRules, EventDocument } from './types.ts';

export type RulesByType = Readonly<Record<string, EntityRules>>;

/** The stream of an entity. */
export function streamId(entityType: string, entityId: string): string {
  return `${entityType}:${entityId}`;
}

/** Type and id of a stream's entity. */
export function entityOf(stream: string): { entityType: string; entityId: string } {
  const colon = stream.indexOf(':');
  return { entityType: stream.slice(0, colon), entityId: stream.slice(colon + 1) };
}

/** An entity after one more event, read as today's schema has it. The same events give the same document, byte for byte. */
export function evolve(rules: RulesByType, entity: CurrentDocument | undefined, event: EventDocument): CurrentDocument {
  return fold(rules, entity, upcast(rules[event.meta.entity_type], event));
}

/** An entity after one more event whose data is of today's schema. */
export function fold(rules: RulesByType, entity: CurrentDocument | undefined, event: EventDocument): CurrentDocument {
  const state = mergePatch(entity?.state, event.data) as JsonObject;
  const { entity_type, entity_id, company_id, client_id, blind_indexes } = event.meta;
  const schema_version = schemaVersionOf(rules[entity_type]);
  const folded: Omit<CurrentDocument, 'keys'> = {
    _id: entity_id,
    entity_type,
    version: event.version,
    last_event_id: event._id,
    state,
    company_id,
    client_id,
    status: typeof state.status === 'string' ? state.status : 'active',
    created_at: entity?.created_at ?? event.at,
    updated_at: event.at,
    blind_indexes: { ...entity?.blind_indexes, ...blind_indexes },
    ...(schema_version !== firstVersion && { schema_version }),
  };
  const keys = folded.status === 'deleted' ? {} : (rules[entity_type]?.keys?.(folded) ?? {});
  return { ...folded, keys };
}

/** The values that an entity keeps others from having. */
export function claimsOf(rules: RulesByType, entity: CurrentDocument | undefined): Claim[] {
  if (!entity || entity.status === 'deleted') return [];
  return rules[entity.entity_type]?.claims?.(entity) ?? [];
}

/**
 * A UUIDv7 above `last`, also when the clock went back or two fall in one millisecond: within a stream the order of
 * ids is the order of versions, and the relay reads by id.
 */
export function nextEventId(last: string | undefined, now: number = Date.now()): string {
  const id = v7({ msecs: now });
  if (last === undefined || id > last) return id;
  return v7({ msecs: Number.parseInt(last.replaceAll('-', '').slice(0, 12), 16) + 1 });
}
