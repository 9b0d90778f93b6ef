import type { CurrentDocument } from '@biz/eventstore';
import type { PersonalField } from '@biz/protos';
import type { CallContext } from '@biz/rpc';
import { type Keyring, openFields } from '@biz/sealing';
import type { EntityState } from './commands.ts';
import type { ResourceModel } from './definition.ts';

/** Who sees personal fields opened when the proto names nobody (biz/options.proto). */
const openByDefault = ['admin', 'manager', 'dpo'];

/**
 * Entities as the answer's messages: personal fields opened for those who may, all with one read of keys; else left out
 * and named in `sealed_fields`, or in `erased_fields` after erasure. One that does not open though nobody destroyed its key (the key is lost, the
 * token was moved) is sealed: that somebody was erased is said of nobody else.
 */
export async function present<State extends EntityState, Extra, Facts>(
  model: Pick<ResourceModel<State, Extra, Facts>, 'message' | 'personal' | 'present'>,
  keyring: Pick<Keyring, 'open'>,
  entities: readonly CurrentDocument[],
  context: CallContext,
): Promise<object[]> {
  const open = new Set(model.personal.filter((field) => mayOpen(field, context)).map(({ name }) => name));
  const opened = await openFields(
    keyring,
    entities.map(({ state, company_id }) => ({ data: state, company_id, mayOpen: (path) => open.has(fieldOf(path)) })),
  );
  return entities.map((entity, index) => {
    const { data = entity.state, sealed = [], erased = [], invalid = [] } = opened[index] ?? {};
    const own = model.present?.(data as unknown as State) ?? data;
    const closed = new Set([...sealed, ...erased, ...invalid].map(fieldOf));
    const message: Record<string, unknown> = {};
    for (const { name } of model.message.fields) {
      const value = (own as Record<string, unknown>)[name];
      if (value !== undefined && value !== null && !closed.has(name)) message[name] = value;
    }
    const { _id: id, version, status, company_id, client_id, created_at, updated_at } = entity;
    Object.assign(message, { id, version, status, created_at, updated_at }, company_id !== null && { company_id });
    if (client_id !== null && model.message.fields.some(({ name }) => name === 'client_id')) message.client_id = client_id;
    const shut = [...sealed, ...invalid];
    return Object.assign(message, shut.length > 0 && { sealed_fields: names(shut) }, erased.length > 0 && { erased_fields: names(erased) });
  });
}

function mayOpen(field: PersonalField, context: CallContext): boolean {
  // A service that acts by itself works with the data (sends a message, brings Keycloak in step); its proto roles are empty.
  if (context.actor.type === 'service') return true;
  const roles = field.open_to.length > 0 ? field.open_to : openByDefault;
  return roles.some((role) => context.roles.includes(role));
}

/** Top-level field of a JSON Pointer. */
export function fieldOf(path: string): string {
  return path.split('/')[1] ?? '';
}

function names(paths: readonly string[]): string[] {
  return [...new Set(paths.map(fieldOf))];
}
