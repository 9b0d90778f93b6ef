import { AppError } from '@biz/errors';
import pg from 'pg';
import { pageOf, placeOf } from './event.ts';
import type { AuditLogStorage, EventPage, EventQuery, PageRequest, Refusal, StoredEvent } from './port.ts';
import { migrate } from './postgresql-schema.ts';

export interface PostgresqlOptions {
  /** `postgresql://user:password@host:port/database` */
  readonly url: string;
  readonly connections?: number;
}

/** The longest that a list may search, in milliseconds. */
const SEARCH_MS = 6_000;
const STATEMENT_MS = 60_000;
const QUERY_CANCELED = '57014';
/** Columns of arrays that a save sends, with their types. */
const columns = {
  ...{ event_id: 'text', occurred_at: 'timestamptz', received_at: 'timestamptz', event_type: 'text', severity: 'text' },
  ...{ user_id: 'text', company_id: 'text', client_id: 'text', user_email: 'text', ip: 'text', ip_index: 'text', user_agent: 'text' },
  ...{ anonymized: 'boolean', document: 'text' },
} as const;

type Column = keyof typeof columns;
type Row = Record<Exclude<Column, 'document' | 'occurred_at' | 'received_at' | 'anonymized'>, string | null> & {
  occurred_at: Date;
  received_at: Date;
  anonymized: boolean;
  document: string;
};

/** Security events in a table of PostgreSQL (12 or later), which is made or brought up to date first. */
export async function openPostgresqlStorage({ url, connections = 4 }: PostgresqlOptions): Promise<AuditLogStorage> {
  const patience = { connectionTimeoutMillis: 5_000, statement_timeout: STATEMENT_MS, query_timeout: STATEMENT_MS + 5_000 };
  const pool = new pg.Pool({ connectionString: url, max: connections, ...patience });
  // an idle connection that breaks is replaced at the next use
  pool.on('error', () => undefined);
  try {
    await migrate(pool);
  } catch (error) {
    await pool.end();
    throw error;
  }
  return {
    name: 'postgresql',
    save: (events) => save(pool, events),
    find: (query, page) => find(pool, query, page),
    async anonymize(what) {
      const [condition, value] = 'before' in what ? ['occurred_at < $1', what.before] : ['user_id = $1', what.user_id];
      const cleared = 'user_email = NULL, ip = NULL, ip_index = NULL, user_agent = NULL, anonymized = true';
      const { rowCount } = await pool.query(`UPDATE security_events SET ${cleared} WHERE ${condition} AND NOT anonymized`, [value]);
      return rowCount ?? 0;
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

async function save(pool: pg.Pool, events: readonly StoredEvent[]): Promise<readonly Refusal[]> {
  if (events.length === 0) return [];
  const rows = events.map(toRow);
  const names = Object.keys(columns) as Column[];
  const arrays = names.map((name, index) => `$${index + 1}::${columns[name]}[]`);
  const selected = names.map((name) => (name === 'document' ? 'document::json' : name));
  try {
    await pool.query(
      `INSERT INTO security_events (${names}) SELECT ${selected} FROM unnest(${arrays}) AS given(${names}) ON CONFLICT DO NOTHING`,
      names.map((name) => rows.map((row) => row[name])),
    );
    return [];
  } catch (error) {
    const { code = '' } = error as { code?: string };
    // class 22: a value that it cannot hold. The others of the batch are not to suffer from it.
    if (!code.startsWith('22')) throw error;
    if (events.length === 1) return [{ event_id: events[0]?.event_id ?? '', reason: code }];
    const refused: Refusal[] = [];
    for (const event of events) refused.push(...(await save(pool, [event])));
    return refused;
  }
}

async function find(pool: pg.Pool, query: EventQuery, page: PageRequest): Promise<EventPage> {
  // no text here has a NUL, and none may be asked for
  if (
    Object.values(query)
      .flat()
      .some((value) => typeof value === 'string' && value.includes('\0'))
  )
    return { items: [] };
  const values: unknown[] = [];
  const value = (given: unknown) => `$${values.push(given)}`;
  const conditions = [...conditionsOf(query, value), ...placeCondition(page.after, value)];
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
  const left = page.deadline ? page.deadline.getTime() - Date.now() - 100 : SEARCH_MS;
  const names = Object.keys(columns).map((name) => (name === 'document' ? 'document::text AS document' : name));
  const text = `SELECT ${names} FROM security_events ${where} ORDER BY occurred_at DESC, event_id DESC LIMIT ${value(page.size + 1)}`;
  const client = await pool.connect();
  try {
    await client.query('BEGIN READ ONLY');
    await client.query(`SET LOCAL statement_timeout = ${Math.max(1, Math.floor(Math.min(SEARCH_MS, left)))}`);
    const { rows } = await client.query<Row>(text, values);
    return pageOf(rows.map(toEvent), page.size);
  } catch (error) {
    if ((error as { code?: string }).code !== QUERY_CANCELED) throw error;
    throw new AppError('timeout', 'The search takes too long; narrow it, by time for example.', { cause: error });
  } finally {
    await client.query('ROLLBACK').catch(() => undefined);
    client.release();
  }
}

function conditionsOf({ company_ids, from, to, ...same }: EventQuery, value: (given: unknown) => string): string[] {
  const names = ['user_id', 'event_type', 'severity', 'ip_index'] as const;
  return [
    ...names.flatMap((name) => (same[name] === undefined ? [] : [`${name} = ${value(same[name])}`])),
    ...(company_ids ? [`company_id = ANY(${value([...company_ids])}::text[])`] : []),
    ...(from ? [`occurred_at >= ${value(from)}`] : []),
    ...(to ? [`occurred_at < ${value(to)}`] : []),
  ];
}

function placeCondition(after: string | undefined, value: (given: unknown) => string): string[] {
  if (after === undefined) return [];
  const { occurred_at, event_id } = placeOf(after);
  return [`(occurred_at, event_id) < (${value(occurred_at)}::timestamptz, ${value(event_id)})`];
}

/** What is not searched by is one JSON text: unlike a text column it holds every character, escaped. */
function toRow(event: StoredEvent): Row {
  const { event_id, occurred_at, received_at, event_type, severity, user_id, company_id, client_id, anonymized, ...rest } = event;
  const { user_email, ip, ip_index, user_agent, ...document } = rest;
  return {
    ...{ event_id, occurred_at, received_at, event_type, severity, user_id, company_id, client_id, anonymized },
    ...{ user_email, ip, ip_index, user_agent, document: JSON.stringify(document) },
  };
}

function toEvent({ document, ...row }: Row): StoredEvent {
  const rest = JSON.parse(document) as Record<string, unknown>;
  const { first_at, last_at } = rest as { first_at: string; last_at: string };
  return { ...row, ...rest, first_at: new Date(first_at), last_at: new Date(last_at) } as StoredEvent;
}
