import { AppError } from '@biz/errors';
import type { CurrentDocument, EventStore } from '@biz/eventstore';
import { canonicalJson, type JsonObject, sha256Hex } from '@biz/json';
import type { CallContext } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import { takePage } from '@biz/service';
import type { Filter } from 'mongodb';
import { clientsOf, companiesOf } from './access.ts';
import type { EntityState } from './commands.ts';
import type { ResourceModel } from './definition.ts';

export interface ListRequest {
  page_size?: number;
  page_token?: string;
  status?: string;
  [filter: string]: unknown;
}

export interface Page {
  entities: CurrentDocument[];
  /** Empty on the last page. */
  next_page_token: string;
}

const DEFAULT_PAGE_SIZE = 50;

/**
 * One page in order of creation; shorter than asked for, with a token, where more would not fit in a message. A token is bound to the filters
 * and the company that it was made with; another one is refused.
 */
export async function listPage<State extends EntityState, Extra, Facts>(
  model: ResourceModel<State, Extra, Facts>,
  parts: { store: EventStore; keyring: Keyring },
  request: ListRequest,
  context: CallContext,
): Promise<Page> {
  const size = request.page_size ?? DEFAULT_PAGE_SIZE;
  const query = await queryOf(model, parts.keyring, request, context);
  const bound = sha256Hex(canonicalJson(query)).slice(0, 16);
  const after = request.page_token ? readToken(request.page_token, bound) : undefined;
  const cursor = parts.store.current
    .find({
      ...query,
      ...(after && { $or: [{ created_at: { $gt: after.created_at } }, { created_at: after.created_at, _id: { $gt: after.id } }] }),
    } as Filter<CurrentDocument>)
    .sort({ created_at: 1, _id: 1 })
    .limit(size + 1);
  const { items, more } = await takePage(cursor, size);
  const last = items.at(-1);
  const entities = await parts.store.refreshed(items);
  return { entities, next_page_token: more && last ? writeToken(last, bound) : '' };
}

/** The filter as JSON. Every value in it is text that the proto's rules passed, or a blind index: never an operator of a client. */
async function queryOf<State extends EntityState, Extra, Facts>(
  model: ResourceModel<State, Extra, Facts>,
  keyring: Keyring,
  request: ListRequest,
  context: CallContext,
): Promise<JsonObject> {
  const query: JsonObject = { entity_type: model.entityType, status: request.status ? String(request.status) : { $ne: 'deleted' } };
  const companies = companiesOf(context);
  if (companies !== 'all') query.company_id = companies.length === 1 ? (companies[0] ?? null) : { $in: [...companies] };
  const clients = clientsOf(model.clients, context);
  if (clients) query[clientPath(model.clients)] = { $in: [...clients] };
  // another one than the caller's was refused at the boundary
  if (model.clients === 'one' && request.client_id) query.client_id = String(request.client_id);
  for (const name of model.filters) {
    const value = request[name];
    if (value === undefined || value === '') continue;
    const kind = model.lookups?.[name] ? '' : model.personal.find((field) => field.name === name)?.blind;
    query[`keys.${name}`] = kind ? await blind(keyring, context, kind, String(value)) : String(value);
  }
  for (const [name, value] of Object.entries(model.visibleTo?.(context) ?? {})) query[`keys.${name}`] = value;
  return query;
}

function clientPath(level: ResourceModel<never, never, never>['clients']): string {
  return level === 'many' ? 'state.client_ids' : 'client_id';
}

async function blind(keyring: Keyring, context: CallContext, kind: 'document' | 'email', value: string): Promise<string> {
  if (context.company_id === null) {
    throw new AppError('company_required', 'Personal data is looked up in one company: name it with X-Company-Id.');
  }
  const [index = ''] = await keyring.blindIndexes([{ company_id: context.company_id, kind, value }]);
  return index;
}

function writeToken({ created_at, _id }: CurrentDocument, bound: string): string {
  return Buffer.from(JSON.stringify([created_at, _id, bound])).toString('base64url');
}

function readToken(token: string, bound: string): { created_at: string; id: string } {
  const [created_at, id, made] = parts(token);
  if (typeof created_at !== 'string' || typeof id !== 'string' || made !== bound) {
    throw new AppError('invalid_request', 'The request does not fit the contract.', {
      faults: [{ path: '/page_token', message: 'is not a token of this list with these filters' }],
    });
  }
  return { created_at, id };
}

function parts(token: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
