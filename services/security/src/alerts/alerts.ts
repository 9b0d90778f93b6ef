import type { Contract } from '@biz/protos';
import { createResource, type Foundation, type StoreModels } from '@biz/resource';
import { createRpcClient } from '@biz/rpc';
import type { Log } from '@biz/service';
import type { Config } from '../config.ts';
import type { Sink } from '../consumer.ts';
import type { AlertParts } from '../rpc/alerts.ts';
import { defineAlert } from './alert.ts';
import { readCountryTable } from './countries.ts';
import { alertDelivery, toldMark } from './deliver.ts';
import { openMongoTally } from './mongo-tally.ts';
import { defineRule } from './rule.ts';
import { createRuleSource } from './rule-source.ts';
import { alertSink } from './sink.ts';
import { createTravels } from './travels.ts';

export function alertModels(contract: Contract): StoreModels {
  return [defineRule(contract), defineAlert(contract)];
}

/** Rules, alerts, the sink that opens them and the reactor that has them told. Without notification's address alerts are only listed. */
export async function openAlerts(
  foundation: Foundation,
  { contract, config, log }: { contract: Contract; config: Config; log: Log },
): Promise<AlertParts & { sink: Sink }> {
  const { store, keyring, tls } = foundation;
  const table = config.ALERT_IP_COUNTRIES === undefined ? undefined : await readCountryTable(config.ALERT_IP_COUNTRIES);
  if (table) log.info({ ranges: table.ranges }, 'countries of addresses read');
  const rules = createResource(defineRule(contract), {
    ...foundation,
    prepare: async ({ context }) => ({ context, countries: table !== undefined }),
  });
  const alerts = createResource(defineAlert(contract), foundation);
  const { ALERT_LOCALE: locale, ALERT_RULES_REFRESH_MS: refreshMs } = config;
  const source = createRuleSource({
    store,
    defaults: { ...config, ALERT_NEW_COUNTRY: table ? config.ALERT_NEW_COUNTRY : null },
    locale,
    refreshMs,
  });
  const travels = table && createTravels(store.db, table);
  const sink = alertSink({ keyring, rules: source, store: await openMongoTally(store.db), alerts, travels });
  const address = config.SERVICE_ADDRESSES.notification;
  if (address === undefined) log.warn('no address of the notification service: alerts are listed, and told to nobody');
  else {
    const service = 'biz.notification.v1.NotificationService';
    const notification = foundation.use(createRpcClient({ contract, service, address, tls }));
    const parts = { store, keyring, notification, emails: config.ALERT_EMAILS, locale, publicUrl: config.PUBLIC_URL, log };
    foundation.react({ mark: toldMark, deliver: alertDelivery(parts), span: 'relay alerts' });
  }
  return { rules, alerts, sink };
}
