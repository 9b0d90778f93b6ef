import { AppError, isUnavailable } from '@biz/errors';
import type { EventDocument, EventStore } from '@biz/eventstore';
import { type RpcClient, serviceContext } from '@biz/rpc';
import { type Keyring, openFields } from '@biz/sealing';
import { traceContext } from '@biz/service';
import { traced } from '@biz/telemetry';
import { type AlertState, openedEvent } from './alert.ts';
import type { Locale } from './rules.ts';

/** Mark of alerts that notification was asked to tell of. */
export const toldMark = 'told_at';

export interface DeliverOptions {
  store: Pick<EventStore, 'load'>;
  keyring: Pick<Keyring, 'open' | 'blindIndexes'>;
  notification: Pick<RpcClient, 'call'>;
  /** Who is told when the rule names nobody. */
  emails: readonly string[];
  locale: Locale;
  /** Where people see alerts; told in the mail. */
  publicUrl: string | undefined;
  log: { warn(details: object, message: string): void };
}

interface Address {
  channel: 'email' | 'webhook';
  to: string;
}

/**
 * Asks notification to tell of each alert that was opened, every address by itself. A batch that comes again asks under the same keys, which
 * makes no second message. An address that notification refuses is logged and left out; notification being away rejects, so that the batch comes again.
 */
export function alertDelivery(options: DeliverOptions): (batch: EventDocument[], signal: AbortSignal) => Promise<void> {
  return async (batch, signal) => {
    for (const event of batch) {
      if (event.type !== openedEvent) continue;
      await traced('alert tell', { parent: event.meta.traceparent }, async () => {
        for (const address of await addressesOf(options, event)) await tell(options, event, address, signal);
      });
    }
  };
}

/** Those that the rule names now; else those of the installation. */
async function addressesOf({ store, keyring, emails }: DeliverOptions, { data }: EventDocument): Promise<Address[]> {
  const { rule_id } = data as unknown as AlertState;
  const rule = rule_id.startsWith('builtin:') ? undefined : await store.load('security_rule', rule_id);
  const [opened] = rule && rule.status !== 'deleted' ? await openFields(keyring, [{ company_id: rule.company_id, data: rule.state }]) : [];
  const { emails: named, webhook_url } = (opened?.data ?? {}) as { emails?: unknown; webhook_url?: unknown };
  const addresses: Address[] = [
    ...(Array.isArray(named) ? named : []).map((to): Address => ({ channel: 'email', to: String(to) })),
    ...(typeof webhook_url === 'string' ? [{ channel: 'webhook' as const, to: webhook_url }] : []),
  ];
  return addresses.length > 0 ? addresses : emails.map((to) => ({ channel: 'email', to }));
}

async function tell(options: DeliverOptions, event: EventDocument, { channel, to }: Address, signal: AbortSignal): Promise<void> {
  const { keyring, notification, locale, log } = options;
  const { company_id, entity_id, traceparent } = event.meta;
  // keyed: the key of a request is kept in clear
  const [index = ''] = await keyring.blindIndexes([{ company_id, kind: 'request', value: `${channel} ${to}` }]);
  const context = serviceContext('security', traceContext(traceparent), {
    company_id,
    // the same address is asked for once, in whatever order the rule names them
    idempotency_key: `alert:${entity_id}:${index}`,
  });
  const request = { channel, to, template: 'security_alert', locale, data: JSON.stringify(variablesOf(options, event)) };
  try {
    await notification.call('CreateNotification', request, context, { signal });
  } catch (error) {
    if (isUnavailable(error) || !(error instanceof AppError) || !final.has(error.code)) throw error;
    log.warn({ err: error, alert_id: entity_id, channel }, 'an alert could not be told');
  }
}

/** Refusals that would be the same another time. */
const final: ReadonlySet<string> = new Set(['invalid_request', 'conflict', 'idempotency_conflict']);

function variablesOf({ publicUrl }: DeliverOptions, { data, meta }: EventDocument): Record<string, string> {
  const { rule_name, kind, severity, count, window_seconds, first_at, last_at } = data as unknown as AlertState;
  return {
    ...{ rule: rule_name, kind, severity, count: String(count), window_seconds: String(window_seconds), first_at, last_at },
    alert_id: meta.entity_id,
    ...(meta.company_id !== null && { company_id: meta.company_id }),
    ...(publicUrl && { url: `${publicUrl}/v1/security/alerts/${meta.entity_id}` }),
  };
}
