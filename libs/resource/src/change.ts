import { AppError } from '@biz/errors';
import type { ActionType, BlindIndexes, CurrentDocument, Draft, EventStore, Executed, Idempotency, Next } from '@biz/eventstore';
import { canonicalJson, type JsonObject, type JsonValue } from '@biz/json';
import type { CallContext } from '@biz/rpc';
import { type Keyring, openFields, sealFields } from '@biz/sealing';
import { clientOfNew, foreignTo, isVisible, notFound } from './access.ts';
import { Decided, type EntityState, type Stamp, type StandardCommand, withoutUndefined } from './commands.ts';
import type { ResourceModel } from './definition.ts';
import { fieldOf } from './present.ts';

/** A command to one entity, on behalf of whom `context` names. */
export interface Change<State extends EntityState, Extra> {
  id: string;
  command: StandardCommand<State> | Extra;
  context: CallContext;
  /** Event type, for example `team.member_added`. */
  event: string;
  /** Recorded action; by the command's kind when not given (`create` new, … any other `update`). */
  action?: ActionType;
  /** Whose data the change is about: `company` (when not given), `id`, or the name of a state field. */
  ownership?: string;
  expectedVersion?: number;
  /** What is hashed to recognise a repeated request; the command when not given. Only with an idempotency key. */
  request?: JsonValue;
  /** The client that a new entity is to belong to; by the caller's clients when not given. Only with `create`. */
  client_id?: string;
  signal?: AbortSignal;
}

export interface Asked<State extends EntityState, Extra> {
  command: (StandardCommand<State> | Extra) & Stamp;
  /** The entity before the change; undefined for `create`. */
  state: State | undefined;
  company_id: string | null;
  context: CallContext;
}

export interface ChangeParts<State extends EntityState, Extra, Facts> {
  model: ResourceModel<State, Extra, Facts>;
  store: EventStore;
  keyring: Keyring;
  environment: string;
  /** Gathers what a decision needs to know beyond its entity; called before each decision, again after a lost race. */
  prepare?: ((asked: Asked<State, Extra>) => Promise<Facts>) | undefined;
}

type Kinded = { kind: string };

/** Runs a command: find → prepare → decide → seal → append. Errors: those of the event store, of `prepare` and of `decide`. */
export async function change<State extends EntityState, Extra extends Kinded, Facts>(
  parts: ChangeParts<State, Extra, Facts>,
  asked: Change<State, Extra>,
): Promise<Executed> {
  const { model, store } = parts;
  const { id, command, context } = asked;
  const creating = command.kind === 'create';
  const company = (entity: CurrentDocument | undefined) => (entity ? entity.company_id : companyOfNew(model, asked));
  const idempotency = await idempotencyOf(parts.keyring, asked);
  return store.execute({
    entityType: model.entityType,
    entityId: id,
    creates: creating,
    admit: (entity) => {
      if (!creating && !isVisible(entity, context, model.clients, model.visibleTo?.(context))) {
        throw notFound(model.entity, foreignTo(entity, context, model.clients));
      }
      if (creating && entity) throw new AppError('already_exists', 'This id is already in use.');
    },
    fence: (entity) => model.fence?.(command, { company_id: company(entity), state: entity?.state as unknown as State | undefined }),
    decide: (entity, next) => draftOf(parts, asked, company(entity), entity, next),
    ...(asked.expectedVersion !== undefined && { expectedVersion: asked.expectedVersion }),
    ...(idempotency && { idempotency }),
    ...(asked.signal && { signal: asked.signal }),
  });
}

async function draftOf<State extends EntityState, Extra extends Kinded, Facts>(
  parts: ChangeParts<State, Extra, Facts>,
  asked: Change<State, Extra>,
  company_id: string | null,
  entity: CurrentDocument | undefined,
  next: Next,
): Promise<Draft | null> {
  const { model, keyring, environment } = parts;
  const { id, context } = asked;
  const state = entity && (await openedState(parts, entity));
  const command = { ...asked.command, id, at: next.at };
  const facts = (await parts.prepare?.({ command, state, company_id, context })) as Facts;
  const decision = model.decide(command, state, facts);
  if (decision === null) return null;
  const { event, patch } = decision instanceof Decided ? decision : { event: asked.event, patch: decision };
  const plain: JsonObject = { ...withoutUndefined(patch), id };
  const ownership_id = ownerOf(asked.ownership ?? 'company', id, company_id, plain, entity?.state);
  const { data, blind_indexes } = await sealed(model, keyring, {
    id,
    company_id,
    ownership_id,
    event_id: next.event_id,
    plain,
    before: entity?.state,
  });
  const meta: Draft['meta'] = {
    action_type: asked.action ?? actionOf(asked.command.kind),
    company_id,
    client_id: entity ? entity.client_id : clientOfNew(model.clients, asked.client_id, context),
    ownership_id,
    owner_id: context.actor.id,
    owner_ip: context.ip,
    owner_role: context.role,
    owner_type: context.actor.type,
    trace_id: context.trace_id,
    traceparent: context.traceparent,
    environment,
    ...(Object.keys(blind_indexes).length > 0 && { blind_indexes }),
  };
  return { type: event, data, meta };
}

async function openedState<State extends EntityState, Extra, Facts>(
  { model, keyring }: ChangeParts<State, Extra, Facts>,
  { state, company_id }: CurrentDocument,
): Promise<State> {
  const opens = new Set<string>(model.opens ?? []);
  if (opens.size === 0) return state as unknown as State;
  const [opened] = await openFields(keyring, [{ company_id, data: state, mayOpen: (path) => opens.has(fieldOf(path)) }]);
  return (opened?.data ?? state) as unknown as State;
}

interface Sealing {
  id: string;
  company_id: string | null;
  ownership_id: string;
  event_id: string;
  plain: JsonObject;
  before: JsonObject | undefined;
}

/** The event's data with its personal fields sealed, and their blind indexes. */
async function sealed<State extends EntityState, Extra, Facts>(
  model: ResourceModel<State, Extra, Facts>,
  keyring: Keyring,
  { id, company_id, ownership_id, event_id, plain, before }: Sealing,
): Promise<{ data: JsonObject; blind_indexes: BlindIndexes }> {
  const present = model.personal.filter(({ name }) => plain[name] !== undefined && plain[name] !== null);
  if (present.length === 0) return { data: plain, blind_indexes: {} };
  const fields = present.map(({ name, ownership }) => ({
    path: `/${name}`,
    ownership_id: ownerOf(ownership, id, company_id, plain, before),
  }));
  const [data = plain] = await sealFields(keyring, [{ company_id, event_id, data: plain, fields }]);
  // The audit files a blind index under the event's ownership id: that of somebody else's field must not be among them.
  const found = present.flatMap(({ name, blind }, at) => {
    if (!blind || fields[at]?.ownership_id !== ownership_id) return [];
    const item = { kind: blind, value: String(plain[name]) };
    const everywhere = model.unique?.some((unique) => unique.field === name && unique.within === 'everything');
    return [
      { as: blind as keyof BlindIndexes, company_id, ...item },
      // the index of a company says nothing in another one
      ...(everywhere ? [{ as: `${blind}_everywhere` as const, company_id: null, ...item }] : []),
    ];
  });
  const indexes = found.length > 0 ? await keyring.blindIndexes(found) : [];
  return { data, blind_indexes: Object.fromEntries(found.map((item, at) => [item.as, indexes[at]])) };
}

/** Whose data: the company's (an entity without one is its own), the entity's, or that of whom a field names. */
function ownerOf(rule: string, id: string, company_id: string | null, plain: JsonObject, before: JsonObject | undefined): string {
  if (rule === 'company') return company_id ?? id;
  if (rule === 'id' || rule === '') return id;
  const named = plain[rule] ?? before?.[rule];
  return typeof named === 'string' && named !== '' ? named : id;
}

function companyOfNew<State extends EntityState, Extra extends Kinded, Facts>(
  { companyOf }: ResourceModel<State, Extra, Facts>,
  { id, command, context }: Change<State, Extra>,
): string | null {
  const { fields } = command as Extract<StandardCommand<State>, { kind: 'create' }>;
  if (companyOf) return companyOf(id, fields, context);
  if (context.company_id === null) throw new AppError('company_required', 'Name the company with X-Company-Id.');
  return context.company_id;
}

/** Kept as a keyed hash: what was asked may be personal. */
async function idempotencyOf<State extends EntityState, Extra>(
  keyring: Keyring,
  { id, command, context, event, request }: Change<State, Extra>,
): Promise<Idempotency | undefined> {
  const { idempotency_key: key, company_id, actor } = context;
  if (key === undefined) return undefined;
  const value = canonicalJson([event, id, request ?? (command as unknown as JsonValue)]);
  const [hash = ''] = await keyring.blindIndexes([{ company_id, kind: 'request', value }]);
  return { actor: actor.id, key, hash };
}

const actions: Readonly<Record<string, ActionType>> = { create: 'new', delete: 'delete', disable: 'disable', enable: 'enable' };

function actionOf(kind: string): ActionType {
  return actions[kind] ?? 'update';
}
