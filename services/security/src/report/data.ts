import { isSuccess, type SecurityEventType, type Severity } from '@biz/security-events';
import type { Count, Counts } from '../counters/counts.ts';
import type { EventQuery } from '../storage/port.ts';
import type { AlertSummary } from './alerts.ts';

/** A compliance report, as its JSON has it. Days are of UTC; times are RFC 3339. */
export interface Report {
  period: { from: string; to: string };
  made_at: string;
  made_by: string;
  /** Null: all companies, and what belongs to none. */
  company_ids: readonly string[] | null;
  logins: { successes: number; failures: number; by_day: { day: string; successes: number; failures: number }[] };
  refusals: { event_type: string; severity: Severity; count: number }[];
  alerts: AlertSummary;
  personal_data: {
    /** How often personal data was opened to somebody. */
    openings: number;
    readers: { user_id: string | null; resource: string | null; count: number; first_at: string; last_at: string }[];
    /** Readers that are not listed, since there are too many. */
    readers_omitted: number;
  };
  storages: { name: string; status: 'ok' | 'failing'; queried: boolean; waiting: number; failing_since: string | null }[];
}

export interface ReportParts {
  readonly counts: Counts;
  readonly alerts: (query: EventQuery) => Promise<AlertSummary>;
  readonly storages: () => Promise<readonly { name: string; queried: boolean; waiting: number; failing_since: Date | null }[]>;
}

/** Readers in a report. */
const mostReaders = 500;

const logins: readonly string[] = ['LOGIN_SUCCESS', 'LOGIN_FAILED'] satisfies SecurityEventType[];

/** The report of a query with a period. AppError `timeout` when it takes too long. */
export async function makeReport(
  { counts, alerts, storages }: ReportParts,
  query: EventQuery & { from: Date; to: Date },
  { by, at, deadline }: { by: string; at: Date; deadline: Date },
): Promise<Report> {
  const [byDay, { readers, all }, found, states] = await Promise.all([
    counts.byTime(query, 'day', deadline),
    counts.readers(query, mostReaders, deadline),
    alerts(query),
    storages(),
  ]);
  return {
    period: { from: query.from.toISOString(), to: query.to.toISOString() },
    made_at: at.toISOString(),
    made_by: by,
    company_ids: query.company_ids ?? null,
    logins: loginsOf(byDay),
    refusals: refusalsOf(byDay),
    alerts: found,
    personal_data: {
      openings: totalOf(byDay, 'ACCESS_GRANTED'),
      readers: readers.map((one) => ({ ...one, first_at: one.first_at.toISOString(), last_at: one.last_at.toISOString() })),
      readers_omitted: all - readers.length,
    },
    storages: states.map(({ name, queried, waiting, failing_since }) => ({
      ...{ name, status: failing_since ? 'failing' : 'ok', queried, waiting, failing_since: failing_since?.toISOString() ?? null },
    })),
  };
}

function loginsOf(counts: readonly Count[]): Report['logins'] {
  const days = Map.groupBy(
    counts.filter(({ event_type }) => logins.includes(event_type)),
    ({ at }) => at.toISOString().slice(0, 10),
  );
  const ofBoth = (some: readonly Count[]) => ({ successes: totalOf(some, 'LOGIN_SUCCESS'), failures: totalOf(some, 'LOGIN_FAILED') });
  return { ...ofBoth(counts), by_day: [...days].map(([day, some]) => ({ day, ...ofBoth(some) })) };
}

/** Everything that was not allowed but failed logins, the most frequent first. */
function refusalsOf(counts: readonly Count[]): Report['refusals'] {
  const refused = counts.filter(({ event_type }) => !isSuccess(event_type as SecurityEventType) && !logins.includes(event_type));
  return [...Map.groupBy(refused, ({ event_type, severity }) => `${event_type} ${severity}`).values()]
    .flatMap(([first, ...rest]) => (first ? [{ ...first, count: rest.reduce((sum, { count }) => sum + count, first.count) }] : []))
    .map(({ event_type, severity, count }) => ({ event_type, severity, count }))
    .sort((one, other) => other.count - one.count);
}

function totalOf(counts: readonly Count[], type: SecurityEventType): number {
  return counts.reduce((sum, { event_type, count }) => (event_type === type ? sum + count : sum), 0);
}
