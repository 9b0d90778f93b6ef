import { AppError } from '@biz/errors';
import type { Resource } from '@biz/resource';
import { serviceContext } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import { type TraceContext, traceContext } from '@biz/service';
import { counter, traced } from '@biz/telemetry';
import type { Place, Sink } from '../consumer.ts';
import { type AlertCommand, type AlertState, openedEvent } from './alert.ts';
import { type Candidate, candidatesOf } from './candidates.ts';
import type { RuleBook } from './rules.ts';
import { type PendingAlert, type TallyStore, tally } from './tally.ts';
import type { Travels } from './travels.ts';

export interface AlertSinkOptions {
  keyring: Pick<Keyring, 'open' | 'blindIndexes'>;
  rules: () => Promise<RuleBook>;
  store: TallyStore;
  alerts: Pick<Resource<AlertState, AlertCommand>, 'change'>;
  /** Undefined when nothing knows where an address is. */
  travels: Travels | undefined;
}

/** Counts what the rules watch, and opens alerts. The order of writes: hits, the burst, its alert, that the alert is there. */
export function alertSink({ keyring, rules, store, alerts, travels }: AlertSinkOptions): Sink {
  const count = async (candidates: readonly Candidate[], place: Place) => {
    const byPair = new Map(candidates.map((one) => [one.pair, one]));
    const found = await tally(store, candidates);
    for (const { pair, alert } of found) {
      const candidate = byPair.get(pair) as Candidate;
      const parent = parentOf(candidate.trace_id, place);
      await traced('alert open', { parent }, () => open(alerts, candidate, alert, traceContext(parent)));
    }
    await store.settle(found.map(({ pair, alert: { alert_id } }) => ({ pair, alert_id })));
  };
  return {
    name: 'alerts',
    async take(batch, all, place) {
      const travelled = await travels?.of(batch);
      const candidates = await candidatesOf(keyring, await rules(), batch, all, new Date(), travelled?.counted);
      if (candidates.length > 0) await count(candidates, place);
      await travelled?.remember();
    },
  };
}

/** Writes an alert once; again changes nothing. The person's key may be destroyed: the alert then does not tell who it was. */
async function open(
  alerts: AlertSinkOptions['alerts'],
  candidate: Candidate,
  { alert_id, ...burst }: PendingAlert,
  trace: TraceContext,
): Promise<void> {
  const { rule, user_id } = candidate;
  const write = (subject: string | null) =>
    alerts.change({
      id: alert_id,
      command: {
        kind: 'create',
        fields: {
          ...{ rule_id: rule.id, rule_name: rule.name, kind: rule.kind, severity: rule.severity, group_by: rule.group_by },
          ...{ count: Math.min(burst.count, MOST_COUNTED), threshold: rule.threshold, window_seconds: rule.window_seconds },
          ...{ first_at: new Date(burst.start).toISOString(), last_at: new Date(burst.end).toISOString(), event_ids: burst.event_ids },
          ...{ opened_at: '' },
          ...(user_id !== null && { user_id }),
          ...(subject !== null && { subject }),
        },
      },
      context: serviceContext('security', trace, { company_id: rule.company_id }),
      event: openedEvent,
      ownership: 'user_id',
    });
  try {
    await write(candidate.subject);
  } catch (error) {
    if (error instanceof AppError && error.code === 'already_exists') return;
    if (!(error instanceof AppError && error.code === 'conflict' && candidate.subject !== null)) throw error;
    await write(null);
  }
  opened.add(1, { 'biz.alert.kind': rule.kind, 'biz.alert.severity': rule.severity });
}

/** What the contract's int32 holds. */
const MOST_COUNTED = 2 ** 31 - 1;

const opened = counter('biz.security.alerts');

/** The alert belongs to the trace of an event that it is about: below its message, or, where that names no trace, below no span that is known. */
function parentOf(traceId: string, place: Place): string | undefined {
  if (!/^[0-9a-f]{32}$/.test(traceId)) return undefined;
  return place.traceparentOf(traceId) ?? `00-${traceId}-${traceId.slice(16)}-01`;
}
