import { AppError } from '@biz/errors';
import { Client, type estypes } from '@elastic/elasticsearch';
import { anonymous, pageOf, placeOf } from './event.ts';
import type { Anonymization, AuditLogStorage, EventPage, EventQuery, PageRequest, Refusal, StoredEvent } from './port.ts';

export interface ElasticsearchOptions {
  /** `http://user:password@host:port` */
  readonly url: string;
  readonly index: string;
}

/** The longest that a list may search, in milliseconds. */
const SEARCH_MS = 6_000;
const REQUEST_MS = 30_000;
/** Events anonymized in one step. */
const STEP = 500;
const EXISTS = 409;

const keyword = { type: 'keyword' } as const;
/** Kept, not searched. */
const kept = { type: 'keyword', index: false, doc_values: false } as const;

const mappings: estypes.MappingTypeMapping = {
  dynamic: 'strict',
  properties: {
    ...{ event_id: keyword, occurred_at: { type: 'date' }, received_at: { type: 'date' }, event_type: keyword, severity: keyword },
    ...{ user_id: keyword, company_id: keyword, client_id: keyword, user_email: kept, ip: kept, ip_index: keyword, user_agent: kept },
    ...{ resource: keyword, action: keyword, request_id: keyword, trace_id: keyword, success: { type: 'boolean' } },
    ...{ error_message: keyword, details: kept, count: { type: 'integer' }, first_at: { type: 'date' }, last_at: { type: 'date' } },
    anonymized: { type: 'boolean' },
  },
};

interface Parts {
  client: Client;
  index: string;
}

/** Security events in an index of Elasticsearch 8, which is made first. What is saved is found once the index was refreshed (within a second). */
export async function openElasticsearchStorage({ url, index }: ElasticsearchOptions): Promise<AuditLogStorage> {
  const client = new Client({ node: url, requestTimeout: REQUEST_MS, maxRetries: 1 });
  const parts: Parts = { client, index };
  try {
    await createIndex(parts);
  } catch (error) {
    await client.close();
    throw error;
  }
  return {
    name: 'elasticsearch',
    save: (events) => save(parts, events),
    find: (query, page) => find(parts, query, page),
    anonymize: (what) => anonymize(parts, what),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

async function createIndex({ client, index }: Parts): Promise<void> {
  if (await client.indices.exists({ index })) return void (await client.indices.putMapping({ index, ...mappings }));
  const settings = { number_of_shards: 1, auto_expand_replicas: '0-1' };
  await client.indices.create({ index, settings, mappings }).catch((error: unknown) => {
    // another process was first
    if (!String((error as Error).message).includes('resource_already_exists_exception')) throw error;
  });
}

/** The event id is the document's id, created and never overwritten. The answer comes when the translog was synced. */
async function save({ client, index }: Parts, events: readonly StoredEvent[]): Promise<readonly Refusal[]> {
  if (events.length === 0) return [];
  const operations = events.flatMap((event) => [{ create: { _id: event.event_id } }, event]);
  const { items } = await client.bulk({ index, operations, require_alias: false });
  return items.flatMap(({ create }) => {
    const status = create?.status ?? 500;
    if (status < 300 || status === EXISTS) return [];
    // 429 and 5xx: it is overloaded, or a shard is away
    if (status >= 429) throw new AppError('unavailable', `Elasticsearch answered ${status}.`);
    return [{ event_id: create?._id ?? '', reason: create?.error?.type ?? String(status) }];
  });
}

async function find(parts: Parts, query: EventQuery, page: PageRequest): Promise<EventPage> {
  const left = page.deadline ? page.deadline.getTime() - Date.now() - 100 : SEARCH_MS;
  const after = page.after === undefined ? undefined : placeOf(page.after);
  return pageOf(await search(parts, filtersOf(query), page.size + 1, after, Math.max(1, Math.min(SEARCH_MS, left))), page.size);
}

/** Events in the order of lists, those after a place only. */
async function search(
  { client, index }: Parts,
  filter: estypes.QueryDslQueryContainer[],
  size: number,
  after: Pick<StoredEvent, 'occurred_at' | 'event_id'> | undefined,
  ms: number,
): Promise<StoredEvent[]> {
  const answer = await client.search<Record<string, unknown>>({
    index,
    query: { bool: { filter } },
    sort: [{ occurred_at: 'desc' }, { event_id: 'desc' }],
    ...(after && { search_after: [after.occurred_at.getTime(), after.event_id] }),
    ...{ size, timeout: `${Math.floor(ms)}ms`, track_total_hits: false },
  });
  if (answer.timed_out) throw new AppError('timeout', 'The search takes too long; narrow it, by time for example.');
  return answer.hits.hits.map(({ _source = {} }) => toEvent(_source));
}

function filtersOf({ company_ids, from, to, ...same }: EventQuery): estypes.QueryDslQueryContainer[] {
  const terms = Object.entries(same).filter(([, value]) => value !== undefined);
  return [
    ...terms.map(([name, value]) => ({ term: { [name]: value as string } })),
    ...(company_ids ? [{ terms: { company_id: [...company_ids] } }] : []),
    ...(from || to ? [{ range: { occurred_at: { ...(from && { gte: from.toISOString() }), ...(to && { lt: to.toISOString() }) } } }] : []),
  ];
}

/** In steps, each a search and a bulk of updates: no scripts, so that it works on every cluster. */
async function anonymize(parts: Parts, what: Anonymization): Promise<number> {
  const { client, index } = parts;
  const concerned: EventQuery = 'before' in what ? { to: what.before } : { user_id: what.user_id };
  const filter = [...filtersOf(concerned), { term: { anonymized: false } }];
  // what was saved until now is to be found
  await client.indices.refresh({ index });
  let count = 0;
  for (let after: StoredEvent | undefined; ; ) {
    const found = await search(parts, filter, STEP, after, REQUEST_MS);
    after = found.at(-1);
    if (after === undefined) break;
    const operations = found.flatMap(({ event_id }) => [{ update: { _id: event_id, retry_on_conflict: 3 } }, { doc: anonymous }]);
    const { items } = await client.bulk({ index, operations });
    const failed = items.find(({ update }) => (update?.status ?? 500) >= 300);
    if (failed) throw new AppError('unavailable', `Elasticsearch answered ${failed.update?.status}.`);
    count += items.filter(({ update }) => update?.result === 'updated').length;
  }
  await client.indices.refresh({ index });
  return count;
}

function toEvent(source: Record<string, unknown>): StoredEvent {
  const times = ['occurred_at', 'received_at', 'first_at', 'last_at'].map((name) => [name, new Date(source[name] as string)] as const);
  return { ...source, ...Object.fromEntries(times) } as unknown as StoredEvent;
}
