import type { EventStore } from '@biz/eventstore';
import type { Severity } from '@biz/security-events';
import type { AlertState } from '../alerts/alert.ts';
import type { EventQuery } from '../storage/port.ts';

/** Alerts that were opened in a period, and how soon somebody answered. */
export interface AlertSummary {
  opened: number;
  acknowledged: number;
  open: number;
  by_kind: { kind: string; severity: Severity; opened: number; acknowledged: number }[];
  /** Seconds from opening to acknowledgement; null when none was acknowledged. */
  answer_seconds: { median: number; p90: number; longest: number } | null;
}

type Alert = Pick<AlertState, 'kind' | 'severity' | 'answered_after_seconds'>;

/** Reads the alerts that were opened in the period of a query, of its companies. */
export function alertsIn(store: Pick<EventStore, 'current'>): (query: EventQuery) => Promise<AlertSummary> {
  return async ({ company_ids, from, to }) => {
    if (company_ids?.length === 0) return summaryOf([]);
    // the moment of creation is that of opening, as RFC 3339 text in UTC, which is in the order of time
    const created_at = { ...(from && { $gte: from.toISOString() }), ...(to && { $lt: to.toISOString() }) };
    const company = company_ids && { company_id: company_ids.length === 1 ? (company_ids[0] ?? null) : { $in: [...company_ids] } };
    const found = await store.current
      .find({ entity_type: 'security_alert', ...company, created_at }, { projection: { state: 1 } })
      .map(({ state }) => state as unknown as Alert)
      .toArray();
    return summaryOf(found);
  };
}

export function summaryOf(alerts: readonly Alert[]): AlertSummary {
  const answers = alerts.flatMap(({ answered_after_seconds }) => answered_after_seconds ?? []).sort((one, other) => one - other);
  const kinds = Map.groupBy(alerts, ({ kind, severity }) => `${kind} ${severity}`);
  return {
    opened: alerts.length,
    acknowledged: answers.length,
    open: alerts.length - answers.length,
    by_kind: [...kinds.values()].flatMap((some) => {
      const [first] = some;
      const acknowledged = some.filter(({ answered_after_seconds }) => answered_after_seconds !== undefined).length;
      return first ? [{ kind: first.kind, severity: first.severity, opened: some.length, acknowledged }] : [];
    }),
    answer_seconds:
      answers.length === 0 ? null : { median: quantile(answers, 0.5), p90: quantile(answers, 0.9), longest: quantile(answers, 1) },
  };
}

/** Nearest rank: a value that was seen, of which at least that part is not above. */
function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
}
