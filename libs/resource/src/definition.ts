import type { BlindIndexes, Claim, CurrentDocument, EntityRules, Upcast } from '@biz/eventstore';
import { sha256Hex } from '@biz/json';
import { type Contract, type MessageModel, type MethodModel, type PersonalField, personalFields, type ServiceModel } from '@biz/protos';
import type { CallContext } from '@biz/rpc';
import type { ClientLevel } from './access.ts';
import type { Decide, EntityState, StandardCommand } from './commands.ts';

/** What a service says of one kind of entity; everything else is read from the proto. */
export interface ResourceDefinition<State extends EntityState, Extra, Facts> {
  contract: Contract;
  /** Full name of the gRPC service, for example `biz.cost_center.v1.CostCenterService`. */
  service: string;
  /** Name of the entity's message, for example `CostCenter`; also names the methods and (snake_case) the entity type. */
  entity: string;
  decide: Decide<State, Extra, Facts>;
  /** Fields of which no two entities have the same value. A personal one needs a blind index in the proto. */
  unique?: readonly UniqueField[];
  /**
   * Values that a filter of the list compares, where they are not simply the field of the same name. Every filter of
   * the list's request is served: status, a state field, a personal field by its blind index, or one of these.
   */
  lookups?: Readonly<Record<string, (state: State) => string | string[] | undefined>>;
  /** How events of earlier schema versions are read (docs/versioning.md); the last one's version is that of new events. */
  upcasts?: readonly Upcast[];
  /** Takes the place of what `unique` and the list's filters would give. */
  rules?: EntityRules;
  /** Personal fields that `decide` and `prepare` need opened; the others hold `{ sealed }`. */
  opens?: readonly (string & keyof State)[];
  /** Names an order that a decision looking at other entities must stand in; see `Command.fence` of the event store. */
  fence?: (command: StandardCommand<State> | Extra, entity: { company_id: string | null; state: State | undefined }) => string | undefined;
  /** The message's own fields, where they are not simply those of the state. */
  present?: (state: State) => object;
  /** The company of a new entity; the caller's chosen company when not given. */
  companyOf?: (id: string, fields: Omit<State, keyof EntityState>, context: CallContext) => string | null;
  /** Narrows what a caller sees to entities with this lookup value. Undefined: everything of the company. */
  visibleTo?: (context: CallContext) => Readonly<Record<string, string>> | undefined;
}

export interface UniqueField {
  field: string;
  /** `company` when not given. */
  within?: 'company' | 'everything';
  /** Form in which values that count as the same are the same. */
  normalise?: (value: string) => string;
}

/** A definition with what the proto adds to it. */
export interface ResourceModel<State extends EntityState, Extra, Facts> extends ResourceDefinition<State, Extra, Facts> {
  entityType: string;
  model: ServiceModel;
  message: MessageModel;
  personal: readonly PersonalField[];
  /** Whether entities belong to clients: their message has `client_id` or `client_ids`. */
  clients: ClientLevel;
  /** Names of the list's filters, `status` and `client_id` apart. */
  filters: readonly string[];
  /** For the event store: `createEventStore({ entities: { [entityType]: rules }, lookups: filters })`. */
  rules: EntityRules;
  /** Undefined when the service has no such method. */
  method: (name: string) => MethodModel | undefined;
}

/** Fields of a list's request that every resource knows. */
const standardFields = new Set(['page_size', 'page_token', 'status', 'client_id']);

/** Reads the proto for a definition. Throws when they do not fit: a service that starts has a right definition. */
export function defineResource<State extends EntityState, Extra = never, Facts = undefined>(
  definition: ResourceDefinition<State, Extra, Facts>,
): ResourceModel<State, Extra, Facts> {
  const { contract, service, entity } = definition;
  const model = contract.service(service);
  const message = contract.message(`${service.slice(0, service.lastIndexOf('.'))}.${entity}`);
  const personal = personalFields(message);
  const list = model.methods.find(({ name }) => name.startsWith('List'));
  const filters = (list?.request.fields ?? []).map(({ name }) => name).filter((name) => !standardFields.has(name));
  assertFits({ ...definition, lookups: definition.lookups ?? {} }, message, personal, filters);
  const entityType = entity.replaceAll(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
  return {
    ...definition,
    entityType,
    model,
    message,
    personal,
    clients: clientLevel(message),
    filters,
    rules: { ...rulesOf(definition, entityType, personal, filters), ...upcastsOf(definition, entityType), ...definition.rules },
    method: (name) => model.methods.find((method) => method.name === name),
  };
}

function clientLevel({ fields }: MessageModel): ClientLevel {
  const has = (name: string) => fields.some((field) => field.name === name);
  if (has('client_id')) return 'one';
  return has('client_ids') ? 'many' : 'none';
}

type Rules<State extends EntityState, Extra, Facts> = ResourceDefinition<State, Extra, Facts>;

function rulesOf<State extends EntityState, Extra, Facts>(
  definition: Rules<State, Extra, Facts>,
  entityType: string,
  personal: readonly PersonalField[],
  filters: readonly string[],
): EntityRules {
  const blindOf = (name: string) => personal.find((field) => field.name === name)?.blind || undefined;
  return {
    keys: (entity) => {
      const keys: Record<string, string | string[]> = {};
      for (const name of filters) {
        const own = definition.lookups?.[name];
        const value = own ? own(entity.state as unknown as State) : lookupValue(entity, name, blindOf(name));
        if (value !== undefined) keys[name] = value;
      }
      return keys;
    },
    claims: (entity) =>
      (definition.unique ?? []).flatMap((unique) => {
        const blind = blindOf(unique.field);
        const everywhere = blind && unique.within === 'everything' ? (`${blind}_everywhere` as const) : blind;
        const value = lookupValue(entity, unique.field, everywhere);
        return typeof value === 'string' ? [claimOf(entityType, entity, unique, value)] : [];
      }),
  };
}

function upcastsOf<State extends EntityState, Extra, Facts>(
  { entity, upcasts }: Rules<State, Extra, Facts>,
  entityType: string,
): Pick<EntityRules, 'upcasts'> {
  const stray = (upcasts ?? []).flatMap(({ events }) => Object.keys(events)).find((type) => !type.startsWith(`${entityType}.`));
  if (stray) throw new Error(`${entity}: an upcast is for ${stray}, which is no event of ${entityType}`);
  return upcasts ? { upcasts } : {};
}

/** A field as it may be looked up: its blind index when personal, itself when text. */
function lookupValue(
  entity: Omit<CurrentDocument, 'keys'>,
  name: string,
  blind: keyof BlindIndexes | undefined,
): string | string[] | undefined {
  const value = entity.state[name];
  if (value === undefined || value === null) return undefined;
  if (blind) return entity.blind_indexes[blind];
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : undefined;
}

const PLAIN_KEY_LENGTH = 80;

function claimOf(entityType: string, entity: CurrentDocument, unique: UniqueField, value: string): Claim {
  const { field, within = 'company', normalise = (text: string) => text } = unique;
  const normal = normalise(value);
  const scope = within === 'company' ? (entity.company_id ?? '') : '*';
  return { name: field, key: `${entityType}/${scope}/${field}/${normal.length > PLAIN_KEY_LENGTH ? sha256Hex(normal) : normal}` };
}

function assertFits(
  definition: { entity: string; unique?: readonly UniqueField[]; lookups: object; rules?: EntityRules; opens?: readonly string[] },
  message: MessageModel,
  personal: readonly PersonalField[],
  filters: readonly string[],
): void {
  const known = new Set(message.fields.map(({ name }) => name));
  const findable = (name: string) => known.has(name) && personal.every((field) => field.name !== name || field.blind);
  const faults = [
    ...filters
      .filter((name) => !definition.rules?.keys && !(name in definition.lookups) && !findable(name))
      .map((name) => `the list filters by ${name}`),
    ...(definition.unique ?? []).filter(({ field }) => !findable(field)).map(({ field }) => `${field} is to be unique`),
    ...(definition.opens ?? []).filter((name) => personal.every((field) => field.name !== name)).map((name) => `${name} is to be opened`),
  ];
  if (faults.length > 0) throw new Error(`${definition.entity}: ${faults.join(', and ')}, which its message does not allow`);
}
