import type { CurrentDocument, EventStore, Executed } from '@biz/eventstore';
import type { JsonValue } from '@biz/json';
import type { MethodModel } from '@biz/protos';
import type { Call, CallContext, Handler } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import { idFromKey, newId } from '@biz/service';
import { foreignTo, isVisible, notFound } from './access.ts';
import { type Asked, type Change, type ChangeParts, change } from './change.ts';
import { type EntityState, type Patch, type StandardCommand, withoutUndefined } from './commands.ts';
import type { ResourceModel } from './definition.ts';
import { type ListRequest, listPage } from './list.ts';
import { present } from './present.ts';

export interface ResourceOptions<State extends EntityState, Extra, Facts> {
  store: EventStore;
  keyring: Keyring;
  /** Recorded in every event. */
  environment: string;
  /** Gathers what a decision needs to know beyond its entity; called before each decision, again after a lost race. */
  prepare?: (asked: Asked<State, Extra>) => Promise<Facts>;
}

export interface Resource<State extends EntityState, Extra> {
  /** Handlers of the standard methods that the proto has: Create, Get, List, Update, Disable, Enable, Delete. */
  readonly handlers: Readonly<Record<string, Handler>>;
  /** A handler of the service's own method that changes the entity named by `id`. Answers the entity, or nothing when the method says so. */
  handler<Request extends object>(name: string, toCommand: (request: Request, call: Call) => StandardCommand<State> | Extra): Handler;
  /** A change that no request asks for: reactors and workers. */
  change(asked: Change<State, Extra>): Promise<Executed>;
  /** An entity that the caller may see; AppError `not_found` otherwise. */
  find(id: string, context: CallContext): Promise<CurrentDocument>;
  /** Entities as messages, personal fields opened for those who may; one read of keys for all. */
  present(entities: readonly CurrentDocument[], context: CallContext): Promise<object[]>;
}

/** A resource as `design` has it ("every resource"): create, read, list, change, disable, enable, delete, each change one event. */
export function createResource<State extends EntityState, Extra extends { kind: string } = never, Facts = undefined>(
  model: ResourceModel<State, Extra, Facts>,
  options: ResourceOptions<State, Extra, Facts>,
): Resource<State, Extra> {
  const { store, keyring } = options;
  const parts: ChangeParts<State, Extra, Facts> = { model, ...options };
  const show = (entities: readonly CurrentDocument[], context: CallContext) => present(model, keyring, entities, context);
  const showOne = async (entity: CurrentDocument, context: CallContext) => (await show([entity], context))[0] ?? {};

  async function find(id: string, context: CallContext): Promise<CurrentDocument> {
    const entity = await store.load(model.entityType, id);
    if (isVisible(entity, context, model.clients, model.visibleTo?.(context))) return entity;
    // An unknown id was looked for among the events too; a foreign one takes as long.
    if (entity) await store.loadAt(model.entityType, id, 0);
    throw notFound(model.entity, foreignTo(entity, context, model.clients));
  }

  async function run(id: string, command: StandardCommand<State> | Extra, request: ChangeRequest, call: Call): Promise<object> {
    const { context, method, signal } = call;
    const { expected_version: expectedVersion, client_id } = request;
    const { entity } = await change(parts, {
      ...{ id, command, context, signal, event: method.rules.event, ownership: method.rules.ownership },
      request: withoutUndefined(request) as JsonValue,
      ...(expectedVersion !== undefined && { expectedVersion }),
      ...(client_id && { client_id }),
    });
    return method.response.fullName === 'google.protobuf.Empty' ? {} : showOne(entity, context);
  }

  const handler: Resource<State, Extra>['handler'] = (name, toCommand) => {
    if (!model.method(name)) throw new Error(`${model.service} has no method ${name}.`);
    return (request, call) => run(request.id, toCommand(request, call), request, call);
  };

  const standard: Record<string, Handler> = {
    Create: (request: object, call) => {
      const { actor, idempotency_key: key } = call.context;
      return run(
        key ? idFromKey(actor.id, key) : newId(),
        { kind: 'create', fields: fieldsOf<State>(request, call.method) },
        request,
        call,
      );
    },
    Get: async ({ id }: { id: string }, { context }) => showOne(await find(id, context), context),
    List: async (request: ListRequest, { context }) => {
      const { entities, next_page_token } = await listPage(model, { store, keyring }, request, context);
      return { items: await show(entities, context), next_page_token };
    },
    Update: (request: UpdateRequest, call) =>
      run(request.id, { kind: 'update', patch: patchOf<State>(request, call.method) }, request, call),
    Disable: ({ ...request }: UpdateRequest, call) => run(request.id, { kind: 'disable' }, request, call),
    Enable: ({ ...request }: UpdateRequest, call) => run(request.id, { kind: 'enable' }, request, call),
    Delete: ({ ...request }: UpdateRequest, call) => run(request.id, { kind: 'delete' }, request, call),
  };
  return { handlers: named(model, standard), handler, change: (asked) => change(parts, asked), find, present: show };
}

interface ChangeRequest {
  expected_version?: number;
  client_id?: string;
}

interface UpdateRequest extends ChangeRequest {
  id: string;
  update_mask?: { paths?: string[] };
  [field: string]: unknown;
}

/** The handlers under the names of the service's methods: `List` under `ListTeams`. */
function named<State extends EntityState, Extra, Facts>(
  { model, entity }: ResourceModel<State, Extra, Facts>,
  standard: Readonly<Record<string, Handler>>,
): Record<string, Handler> {
  const handlers: Record<string, Handler> = {};
  for (const [verb, handler] of Object.entries(standard)) {
    const method = model.methods.find(({ name }) => name === `${verb}${entity}` || (verb === 'List' && name.startsWith('List')));
    if (method) handlers[method.name] = handler;
  }
  return handlers;
}

function fieldsOf<State extends EntityState>(request: object, method: MethodModel): Omit<State, keyof EntityState> {
  const names = new Set(method.request.fields.filter(({ name, rules }) => !rules.header && name !== 'client_id').map(({ name }) => name));
  const given = Object.entries(request).filter(([name, value]) => names.has(name) && value !== undefined && value !== null);
  return Object.fromEntries(given) as Omit<State, keyof EntityState>;
}

/** The merge patch that the mask and the values are: a name in the mask without a value clears (a list: empties). */
function patchOf<State extends EntityState>(request: UpdateRequest, method: MethodModel): Patch<Omit<State, keyof EntityState>> {
  const patch: Record<string, unknown> = {};
  for (const name of request.update_mask?.paths ?? []) {
    const field = method.request.fields.find((one) => one.name === name);
    if (field) patch[name] = request[name] ?? (field.repeated ? [] : null);
  }
  return patch as Patch<Omit<State, keyof EntityState>>;
}
