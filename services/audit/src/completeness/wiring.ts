import type { Bus } from '@biz/bus';
import type { EventDocument } from '@biz/eventstore';
import type { ReconciliationSource } from '@biz/reconciliation';
import type { Db } from 'mongodb';
import type { AuditConfig } from '../config.ts';
import { consumerCaughtUp } from './caught-up.ts';
import type { ReconcilerParts } from './reconciler.ts';

/** What the reconciler needs, from the settings. */
export function reconcilerParts(
  config: AuditConfig,
  parts: Pick<ReconcilerParts, 'db' | 'collections' | 'contract' | 'log'> & { bus: Pick<Bus, 'lag'> },
): ReconcilerParts {
  const { bus, ...rest } = parts;
  return {
    ...rest,
    addresses: config.SERVICE_ADDRESSES,
    tls: {
      caFile: config.TLS_CA_FILE,
      certFile: config.TLS_CERT_FILE,
      keyFile: config.TLS_KEY_FILE,
      reloadMs: config.TLS_RELOAD_SECONDS * 1_000,
    },
    everyMs: config.RECONCILE_EVERY_SECONDS * 1_000,
    fullEveryMs: config.RECONCILE_FULL_EVERY_SECONDS * 1_000,
    graceMs: Math.round(config.RECONCILE_GRACE_SECONDS * 1_000),
    mostFindings: config.RECONCILE_FINDINGS,
    caughtUp: consumerCaughtUp(bus, config.CONSUMER_GROUP, config.AUDIT_TOPIC),
  };
}

/** The audit's own outbox, which is compared with the records like any service's events; it forgets what was published long ago. */
export function ownEvents(db: Db): ReconciliationSource {
  return { events: db.collection<EventDocument>('events'), producer_service: 'audit_service', entity_types: [], keeps_events: false };
}
