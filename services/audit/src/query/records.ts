import { AppError } from '@biz/errors';
import type { JsonValue } from '@biz/json';
import type { Filter } from 'mongodb';
import { type Collections, indexes } from '../collections.ts';
import { entityKey, indexKey } from '../keys.ts';
import type { RecordDocument } from '../record.ts';
import { bindingOf, DEFAULT_PAGE_SIZE, fetchPage, type Order, type Position, readToken, writeToken } from './page.ts';
import { recentPage } from './recent.ts';
import type { Scope } from './scope.ts';
import { versionPage } from './version-page.ts';
import type { RecordFilter, Walk } from './walk.ts';

export interface RecordFilters {
  entity_type?: string;
  entity_id?: string;
  ownership_id?: string;
  owner_id?: string;
  event_type?: string;
  action_type?: string;
  producer_service?: string;
  trace_id?: string;
  is_active?: boolean;
  from?: string;
  to?: string;
  /** Of these clients alone; by the caller's token, never by a request. */
  clients?: readonly string[];
}

export interface PageRequest {
  page_size?: number;
  page_token?: string;
  order?: string;
}

export interface RecordPage {
  records: RecordDocument[];
  next_page_token: string;
  /** The token of a page that begins after one of the records. */
  tokenAfter(record: RecordDocument): string;
}

const NOTHING: RecordPage = { records: [], next_page_token: '', tokenAfter: () => '' };

/** More entities than this with one id (in as many companies) are not searched at once. */
const MOST_ENTITIES = 1_000;

/**
 * One page of records. Values are compared with index keys as they are. With an entity id the order is that of its versions, else
 * that of time (`action_at`, then record id). The fields of the index that is meant come first (see collections.ts). Tokens of one
 * `list` are not taken by another.
 */
export async function listRecords(
  collections: Collections,
  scope: Scope,
  filters: RecordFilters,
  page: PageRequest & { defaultOrder: 'asc' | 'desc'; deadline: Date; list?: string },
): Promise<RecordPage> {
  const order: Order = (page.order || page.defaultOrder) === 'asc' ? 1 : -1;
  const binding = bindingOf([page.list ?? 'records', scope as JsonValue, { ...filters } as JsonValue, order]);
  const walk = await walkOf(collections, scope, filters);
  if (walk === undefined) {
    return NOTHING;
  }
  const position = page.page_token ? readToken(page.page_token, binding, walk.types) : undefined;
  const { items, more } = await pageOf(collections, walk, position, order, page.page_size || DEFAULT_PAGE_SIZE, page.deadline);
  const last = items.at(-1);
  const tokenAfter = (record: RecordDocument) => writeToken(walk.position(record), binding);
  return { records: items, next_page_token: more && last ? tokenAfter(last) : '', tokenAfter };
}

function pageOf(
  collections: Collections,
  walk: Walk,
  after: Position | undefined,
  order: Order,
  size: number,
  deadline: Date,
): Promise<{ items: RecordDocument[]; more: boolean }> {
  if (walk.index === 'entity_version') {
    const { entity_key, ...filter } = walk.filter as RecordFilter & { entity_key: string | { $in: string[] } };
    return versionPage(collections, {
      keys: typeof entity_key === 'string' ? [entity_key] : entity_key.$in,
      filter,
      after,
      order,
      size,
      deadline,
    });
  }
  if (order === -1 && !walk.selective) return recentPage(collections, walk, after, size, deadline);
  const filter = after ? { $and: [walk.filter, walk.after(after, order)] } : walk.filter;
  const cursor = collections.events
    .find(filter as Filter<RecordDocument>)
    .sort(Object.fromEntries(walk.sort.map((field) => [field, order])));
  return fetchPage(cursor, size, deadline);
}

/** How the records that the filters let through are found and in which order; undefined when there can be none. */
export async function walkOf(collections: Collections, scope: Scope, filters: RecordFilters): Promise<Walk | undefined> {
  if (scope !== 'all' && scope.length === 0) {
    return undefined;
  }
  const filter = filterOf(scope, filters);
  return filters.entity_id ? byVersion(collections, scope, filters, filter) : byTime(scope, filters, filter);
}

/** One record; undefined also for one of another company or client. */
export async function getRecord(
  collections: Collections,
  scope: Scope,
  id: string,
  { clients }: Pick<RecordFilters, 'clients'> = {},
): Promise<RecordDocument | undefined> {
  const record = await collections.events.findOne({ _id: id, kind: 'event', ...(clients && { client_id: { $in: [...clients] } }) });
  return record !== null && (scope === 'all' || scope.some((company) => indexKey(company) === record.company_id)) ? record : undefined;
}

const plainFilters = ['entity_type', 'ownership_id', 'owner_id', 'event_type', 'action_type', 'producer_service'] as const;

/** What the filters and the caller's companies say of a record. */
export function filterOf(scope: Scope, filters: RecordFilters): RecordFilter {
  const filter: RecordFilter = { kind: 'event' };
  if (scope !== 'all') {
    filter.company_id = scope.length === 1 ? indexKey(scope[0] as string) : { $in: scope.map(indexKey) };
  }
  for (const name of plainFilters) {
    const value = filters[name];
    if (value) {
      filter[name] = indexKey(value);
    }
  }
  if (filters.trace_id) {
    filter.trace_id = filters.trace_id.replaceAll('-', '').toLowerCase();
  }
  if (filters.is_active !== undefined) {
    filter.is_active = filters.is_active;
  }
  if (filters.clients) {
    filter.client_id = { $in: [...filters.clients] };
  }
  if (filters.from || filters.to) {
    filter.action_at = {
      ...(filters.from && { $gte: timeOf('from', filters.from) }),
      ...(filters.to && { $lt: timeOf('to', filters.to) }),
    };
  }
  return filter;
}

function timeOf(name: string, text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) {
    throw new AppError('invalid_request', 'The request does not fit the contract.', {
      faults: [{ path: `/${name}`, message: 'is no point in time' }],
    });
  }
  return time;
}

function byTime(scope: Scope, filters: RecordFilters, filter: RecordFilter): Walk {
  const index = timeIndex(scope, filters);
  return {
    filter: leading(index, filter),
    selective: isSelective(scope, filters),
    index,
    sort: ['action_at', '_id'],
    types: ['number', 'string'],
    position: ({ action_at, _id }) => [action_at.getTime(), _id],
    after: ([time, id], order) => {
      const [beyond, upTo] = order === 1 ? ['$gt', '$gte'] : ['$lt', '$lte'];
      const at = new Date(time);
      // The bound for the index, and the exact position.
      return { action_at: { [upTo as string]: at }, $or: [{ action_at: { [beyond as string]: at } }, { _id: { [beyond as string]: id } }] };
    },
  };
}

/** What is not personal has its company for an ownership. */
function isSelective(scope: Scope, { trace_id, owner_id, ownership_id }: RecordFilters): boolean {
  return Boolean(trace_id || owner_id || (ownership_id && !(scope !== 'all' && scope.includes(ownership_id))));
}

/** The filter with the fields of an index first, in its order: some planners choose by what comes first, and none minds. */
function leading(index: string, filter: RecordFilter): RecordFilter {
  const keys = Object.keys(indexes.records.find(({ name }) => name === index)?.key ?? {}).filter((key) => key in filter);
  return { ...Object.fromEntries(keys.map((key) => [key, filter[key]])), ...filter };
}

/** The most telling filter leads. */
function timeIndex(scope: Scope, filters: RecordFilters): string {
  if (filters.trace_id) return 'trace_time';
  if (filters.ownership_id) return 'ownership_time';
  if (filters.owner_id) return 'owner_time';
  if (scope === 'all' || scope.length > 1) return 'time';
  return filters.event_type ? 'company_event_type_time' : 'company_time';
}

async function byVersion(collections: Collections, scope: Scope, filters: RecordFilters, filter: RecordFilter): Promise<Walk | undefined> {
  const keys = await entityKeys(collections, scope, filters.entity_type, filters.entity_id as string);
  if (keys.length === 0) {
    return undefined;
  }
  return {
    filter: { ...filter, entity_key: keys.length === 1 ? keys[0] : { $in: keys } },
    selective: true,
    index: 'entity_version',
    sort: ['entity_key', 'version'],
    types: ['string', 'number'],
    position: ({ entity_key, version }) => [entity_key, version],
    after: ([key, version], order) => {
      const [beyond, upTo] = order === 1 ? ['$gt', '$gte'] : ['$lt', '$lte'];
      return {
        entity_key: { [upTo as string]: key },
        $or: [{ entity_key: { [beyond as string]: key } }, { version: { [beyond as string]: version } }],
      };
    },
  };
}

/** Keys of the entities with this id in the caller's companies; some of them may have no record. */
export async function entityKeys(
  collections: Collections,
  scope: Scope,
  entityType: string | undefined,
  entityId: string,
): Promise<string[]> {
  if (scope !== 'all' && entityType) {
    return scope.map((company) => entityKey(company, entityType, entityId)).sort();
  }
  const found = collections.entities.find(
    {
      entity_id: indexKey(entityId),
      ...(entityType && { entity_type: indexKey(entityType) }),
      ...(scope !== 'all' && { company_id: { $in: scope.map(indexKey) } }),
    },
    { projection: { _id: 1 }, limit: MOST_ENTITIES },
  );
  return (await found.toArray()).map(({ _id }) => _id).sort();
}
