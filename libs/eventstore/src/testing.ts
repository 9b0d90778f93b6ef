import type { JsonObject } from '@biz/json';
import type { Command } from './execute.ts';
import type { RulesByType } from './fold.ts';
import type { Draft } from './types.ts';

/** What the tests of this package keep in their stores: a thing with a code, unique in its company. */
export const things: RulesByType = {
  thing: {
    keys: ({ state, blind_indexes }) => ({
      ...(typeof state.code === 'string' && { code: state.code }),
      ...(blind_indexes.document && state.document !== undefined && { document: blind_indexes.document }),
    }),
    claims: ({ state, company_id }) => (typeof state.code === 'string' ? [{ name: 'code', key: `${company_id}/${state.code}` }] : []),
  },
};

/** The same two schema versions later: what was a `label` is a `name`, and every thing has tags. */
export const upcastThings: RulesByType = {
  thing: {
    ...things.thing,
    upcasts: [
      { to: '1.1', events: { 'thing.created': named, 'thing.updated': named } },
      { to: '1.2', events: { 'thing.created': (data) => ({ tags: [], ...data }) } },
    ],
    keys: (entity) => ({ ...things.thing?.keys?.(entity), ...(typeof entity.state.name === 'string' && { name: entity.state.name }) }),
  },
};

function named({ label, ...data }: JsonObject): JsonObject {
  return label === undefined ? data : { ...data, name: label };
}

export function draft(verb: string, data: JsonObject, over: Partial<Draft['meta']> = {}): Draft {
  const meta = {
    action_type: 'update',
    company_id: 'c1',
    client_id: null,
    ownership_id: 'c1',
    owner_id: 'u1',
    owner_ip: '203.0.113.9',
    owner_role: 'manager',
    owner_type: 'user',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    environment: 'test',
  } as const;
  return { type: `thing.${verb}`, data, meta: { ...meta, ...over } };
}

/** A command that changes a thing, or makes it. */
export function change(entityId: string, data: JsonObject, over: Partial<Command> = {}): Command {
  return {
    entityType: 'thing',
    entityId,
    decide: (entity) => draft(entity ? 'updated' : 'created', { id: entityId, ...data }),
    ...over,
  };
}
