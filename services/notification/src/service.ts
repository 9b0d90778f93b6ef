import { createBus } from '@biz/bus';
import { openFlags } from '@biz/flags';
import { loadContract } from '@biz/protos';
import { createResource, openFoundation } from '@biz/resource';
import { kafkaConnection, type Log, type RunningService } from '@biz/service';
import type { Config } from './config.ts';
import { type Send, startDelivery } from './delivery.ts';
import { defineNotification, storeModel } from './entities.ts';
import { createMailer } from './mailer.ts';
import { createHandlers } from './rpc.ts';
import { type Locale, loadTemplates, type Variables } from './templates.ts';
import { createAddressGuard } from './webhook/addresses.ts';
import { createWebhookSender, webhookCall } from './webhook/sender.ts';
import { startWelcome } from './welcome.ts';
import { welcomeDecisions } from './welcome-decisions.ts';

/** Builds and starts the service; disposing the answer ends it. The mail server and Kafka may be away. */
export async function startNotification(config: Config, log: Log): Promise<RunningService> {
  const contract = loadContract();
  const model = defineNotification(contract);
  const templates = loadTemplates();
  const keys = config.WEBHOOK_KEY;
  const guard = createAddressGuard({ networks: config.WEBHOOK_NETWORKS, loopback: config.WEBHOOK_LOOPBACK });
  const webhookFault = (url: string) => (keys ? guard.fault(url) : 'cannot be sent to: this installation has no webhooks (WEBHOOK_KEY)');
  const foundation = await openFoundation({ name: 'notification', config, contract, log, models: [storeModel(model)] });
  const policy = { maxAttempts: config.MAIL_MAX_ATTEMPTS, firstPauseMs: config.MAIL_FIRST_PAUSE_MS, maxPauseMs: config.MAIL_MAX_PAUSE_MS };
  const notifications = createResource(model, { ...foundation, prepare: async () => ({ templates, policy, webhookFault }) });
  const inParallel = config.MAIL_CONNECTIONS;
  const mailer = foundation.use(createMailer({ url: config.SMTP_URL, from: config.MAIL_FROM, connections: inParallel }));
  const sendMail: Send = ({ _id, fields: { to, template, locale, data } }, stopping) =>
    mailer.send({ ...templates.render(template, locale as Locale, JSON.parse(data) as Variables), to, messageKey: _id }, stopping);
  foundation.use(startDelivery({ ...foundation, notifications, channel: 'email', send: sendMail, inParallel, log }));
  if (keys) {
    const webhooks = foundation.use(createWebhookSender({ keys, guard, timeoutMs: config.WEBHOOK_TIMEOUT_MS }));
    const send: Send = (notification, stopping) => webhooks.send(webhookCall(notification), stopping);
    foundation.use(startDelivery({ ...foundation, notifications, channel: 'webhook', send, inParallel: config.WEBHOOK_CONNECTIONS, log }));
  }
  const bus = foundation.use(createBus({ ...kafkaConnection(config), clientId: 'notification', log }));
  const flags = foundation.use(await openFlags({ settings: config, service: 'notification', environment: config.ENVIRONMENT, log }));
  const keepMs = config.WELCOME_MAX_AGE_HOURS * 3_600_000;
  const decisions = await welcomeDecisions({ db: foundation.store.db, flags, keepMs, log });
  startWelcome({
    ...{ bus, topic: config.AUDIT_TOPIC, groupId: config.CONSUMER_GROUP, keyring: foundation.keyring, notifications, log },
    wanted: (event) => decisions.decide(event),
    maxAgeMs: keepMs,
    publicUrl: config.PUBLIC_URL,
    // ends the process, which is started again clean (runProcess of @biz/service)
    onFatal: (error) =>
      setImmediate(() => {
        throw error;
      }),
  });
  return foundation.serve([model.service], createHandlers(notifications, { key: keys?.[0], fault: webhookFault }));
}
