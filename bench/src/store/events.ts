import { randomUUID } from 'node:crypto';
import { envelopeOf, type ReadEvent, readEnvelope } from '@biz/envelope';
import type { JsonObject } from '@biz/json';
import { type Keyring, sealFields } from '@biz/sealing';
import type { Entity, EntityType } from './mix.ts';

/** One record to be: the entity's version, when, by whom, in which trace. */
export interface Draft {
  entity: Entity;
  version: number;
  at: Date;
  user: string;
  trace: string;
}

const producers: Record<EntityType, string> = {
  cost_center: 'cost_center_service',
  team: 'team_service',
  client_contractor: 'client_contractor_service',
  card: 'loyalty_service',
};
const instance = '5f0c6a3e-5c0e-4b0b-9a55-0d6a4a1f2f11';
const personal = ['/name', '/email', '/phone'];

/** The events of drafts as the audit reads them off the topic; personal fields of contractors sealed, as their service does. */
export async function eventsOf(keyring: Keyring, drafts: readonly Draft[]): Promise<ReadEvent[]> {
  const ids = drafts.map(() => randomUUID());
  const targets = drafts.map(({ entity, version, at }, index) => ({
    company_id: entity.company,
    event_id: ids[index] as string,
    data: dataOf(entity, version, at),
    fields: entity.type === 'client_contractor' ? personal.map((path) => ({ path, ownership_id: entity.ownership })) : [],
  }));
  const sealed = await sealFields(keyring, targets);
  return drafts.map((draft, index) => {
    const text = draft.entity.type === 'card' ? foreign : own;
    const result = readEnvelope({ value: Buffer.from(text(draft, ids[index] as string, sealed[index] as JsonObject)) });
    if (!result.ok) throw new Error(`an envelope of the benchmark is not read: ${result.code} ${JSON.stringify(result.faults)}`);
    return result.event;
  });
}

/** What the event changes: everything at first, then a merge patch. */
function dataOf({ id, type, company }: Entity, version: number, at: Date): JsonObject {
  const updated_at = at.toISOString();
  if (type === 'card')
    return { id, points: version * 10, tier: 'gold', note: `compra na loja ${version % 40}, caixa ${version % 7}`.padEnd(120, '.') };
  if (version > 1) {
    if (type === 'client_contractor') return { id, phone: `+55 11 9${String(version).padStart(8, '0')}`, updated_at };
    return version % 5 === 0 ? { name: `Loja ${version}`, updated_at } : { budget_cents: version * 100, updated_at };
  }
  const common = { id, company_id: company, status: 'active', created_at: updated_at, updated_at, name: `Loja ${id}` };
  if (type === 'client_contractor')
    return { ...common, email: `${id}@example.com`, phone: '+55 11 900000000', cost_center_id: 'cost_center-7' };
  return { ...common, code: id.toUpperCase(), description: 'Unidade de negócios do varejo, criada para medir', budget_cents: 150_000 };
}

function own(draft: Draft, event_id: string, data: JsonObject): string {
  const { entity, version, at, user, trace } = draft;
  const event = {
    _id: event_id,
    version,
    type: `${entity.type}.${version === 1 ? 'created' : 'updated'}`,
    schema_version: '1.0',
    data,
    at: at.toISOString(),
    meta: {
      entity_type: entity.type,
      entity_id: entity.id,
      action_type: version === 1 ? ('new' as const) : ('update' as const),
      company_id: entity.company,
      client_id: null,
      ownership_id: entity.ownership,
      owner_id: user,
      owner_ip: '203.0.113.7',
      owner_role: 'manager',
      owner_type: 'user' as const,
      trace_id: trace,
      traceparent: `00-${trace}-00f067aa0ba902b7-01`,
      environment: 'production',
    },
  };
  return envelopeOf(event, { service: producers[entity.type], instance }).value;
}

function foreign({ entity, version, at, user, trace }: Draft, event_id: string, payload: JsonObject): string {
  return JSON.stringify({
    producer_service: producers[entity.type],
    producer_service_id: instance,
    trace_id: trace,
    timestamp: at.toISOString(),
    event_type: `${entity.type}.${version === 1 ? 'created' : 'updated'}`,
    payload,
    metadata: {
      event_id,
      owner_id: user,
      owner_ip: '203.0.113.9',
      owner_role: 'cashier',
      owner_type: 'user',
      event_schema_version: '1.0',
      ownership_id: entity.ownership,
      company_id: entity.company,
    },
  });
}
