import { AppError, type Withheld } from '@biz/errors';
import type { CurrentDocument } from '@biz/eventstore';
import { type CallContext, spansCompanies } from '@biz/rpc';

/** Companies that a call sees: one, some, or (platform people and services) all, and what belongs to none. */
export function companiesOf(context: CallContext): readonly (string | null)[] | 'all' {
  if (context.company_id !== null) return [context.company_id];
  return spansCompanies(context) ? 'all' : context.companies;
}

/** How the entities of a kind belong to clients: by `client_id`, by a list `client_ids` (users), or not at all. */
export type ClientLevel = 'one' | 'many' | 'none';

/**
 * Clients that a call is narrowed to; undefined when it is not. What belongs to no client is the company's own, and not for people of
 * clients. A kind that knows no clients is open to those whom the proto lets call (`any_client`).
 */
export function clientsOf(level: ClientLevel, { clients }: CallContext): readonly string[] | undefined {
  return level === 'none' || clients.length === 0 ? undefined : clients;
}

/** The clients that an entity belongs to. */
function clientsOfEntity(entity: CurrentDocument, level: ClientLevel): readonly string[] {
  if (level === 'many') return (entity.state.client_ids ?? []) as string[];
  return entity.client_id === null ? [] : [entity.client_id];
}

/**
 * The client of a new entity: the one that the request names, else the only one of a caller who is bound to clients. Throws AppError
 * `wrong_client` for one that is not the caller's, `invalid_request` when there are several to choose from.
 */
export function clientOfNew(level: ClientLevel, named: unknown, { clients }: CallContext): string | null {
  if (level !== 'one') return null;
  const client = typeof named === 'string' && named !== '' ? named : undefined;
  if (clients.length === 0) return client ?? null;
  if (client === undefined && clients.length > 1) {
    const fault = { path: '/client_id', message: 'is required: you have several clients' };
    throw new AppError('invalid_request', 'The request does not fit the contract.', { faults: [fault] });
  }
  const chosen = client ?? (clients[0] as string);
  if (!clients.includes(chosen)) throw new AppError('wrong_client', 'The request names a client that is not yours.');
  return chosen;
}

/** Whether a call may know of an entity. A deleted one is as unknown as one of another company or client. */
export function isVisible(
  entity: CurrentDocument | undefined,
  context: CallContext,
  level: ClientLevel,
  narrow: Readonly<Record<string, string>> | undefined,
): entity is CurrentDocument {
  if (!entity || entity.status === 'deleted') return false;
  const companies = companiesOf(context);
  if (companies !== 'all' && !companies.includes(entity.company_id)) return false;
  if (!isWithinClients(entity, context, level)) return false;
  return Object.entries(narrow ?? {}).every(([name, value]) => [entity.keys[name]].flat().includes(value));
}

function isWithinClients(entity: CurrentDocument, context: CallContext, level: ClientLevel): boolean {
  const clients = clientsOf(level, context);
  return clients === undefined || clientsOfEntity(entity, level).some((client) => clients.includes(client));
}

/**
 * The same to the caller for an id that never was, was deleted, or is another company's or client's; `withheld` (see `foreignTo`) is for security events.
 */
export function notFound(entity: string, withheld?: Withheld): AppError {
  const name = entity.replaceAll(/(?<=.)[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
  return new AppError('not_found', `There is no such ${name}.`, { withheld });
}

/**
 * Whether asking for an entity is an attempt at another tenant: it is there, and of no company or no client of the caller's. Somebody who has
 * the company but chose another one for this call only looked in the wrong place.
 */
export function foreignTo(entity: CurrentDocument | undefined, context: CallContext, level: ClientLevel): Withheld | undefined {
  if (!entity || entity.status === 'deleted') return undefined;
  const isOwn = spansCompanies(context) || (entity.company_id !== null && context.companies.includes(entity.company_id));
  if (!isOwn) return 'wrong_company';
  return isWithinClients(entity, context, level) ? undefined : 'wrong_client';
}
