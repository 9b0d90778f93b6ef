import { isUnavailable } from '@biz/errors';
import { type CurrentDocument, type EventStore, startWorker, type Worker } from '@biz/eventstore';
import type { Resource } from '@biz/resource';
import { serviceContext } from '@biz/rpc';
import { type Keyring, openFields } from '@biz/sealing';
import { traceContext } from '@biz/service';
import { dueLookup } from './entities.ts';
import type { DeliveryOutcome, Mailer } from './mailer.ts';
import type { NotificationCommand, NotificationState } from './notification.ts';
import type { Locale, Templates, Variables } from './templates.ts';

export type DeliveryOptions = {
  readonly store: EventStore;
  readonly keyring: Pick<Keyring, 'open'>;
  readonly notifications: Pick<Resource<NotificationState, NotificationCommand>, 'change'>;
  readonly templates: Templates;
  readonly mailer: Mailer;
  /** Attempts at the same time. */
  readonly inParallel: number;
  readonly log: DeliveryLog;
  readonly pollMs?: number;
  readonly maxBackoffMs?: number;
};

export type DeliveryLog = {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
};

const batchSize = 100;

/**
 * Sends what is due; one process at a time does. An attempt's outcome is an event; a crash between the mail server's yes and that event means
 * that the mail is sent again, under the same message id.
 */
export function startDelivery(options: DeliveryOptions): Worker {
  const { store, log, pollMs = 500, maxBackoffMs = 30_000 } = options;
  const work = (stopping: AbortSignal) => deliverDue(options, stopping);
  const worker = startWorker({ db: store.db, lease: 'delivery', work, pollMs, maxBackoffMs, log });
  const unlisten = store.onAppend(worker.wake);
  return {
    wake: worker.wake,
    async [Symbol.asyncDispose]() {
      unlisten();
      await worker[Symbol.asyncDispose]();
    },
  };
}

/** One round; true when there was anything. Throws when the mail server (or the database) is away, so that the rest waits. */
async function deliverDue(options: DeliveryOptions, stopping: AbortSignal): Promise<boolean> {
  const due = await options.store.current
    .find({ entity_type: 'notification', [`keys.${dueLookup}`]: { $lte: new Date().toISOString() } })
    .sort({ [`keys.${dueLookup}`]: 1 })
    .limit(batchSize)
    .toArray();
  const rest = [...due];
  const failures: unknown[] = [];
  const deliverNext = async () => {
    for (let entity = rest.shift(); entity && failures.length === 0 && !stopping.aborted; entity = rest.shift()) {
      await deliver(options, entity, stopping).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: options.inParallel }, deliverNext));
  if (failures.length) throw failures[0];
  return due.length > 0;
}

async function deliver(options: DeliveryOptions, entity: CurrentDocument, stopping: AbortSignal): Promise<void> {
  const { store, notifications, log } = options;
  const [newest] = await store.events
    .find({ stream_id: `notification:${entity._id}` })
    .sort({ stream_id: -1, version: -1 })
    .limit(1)
    .toArray();
  // a process that ended between an outcome and its fold: what it sent is not sent again
  if (newest && newest.version > entity.version) return void (await store.ensureCurrent([newest]));
  const trace = traceContext(newest?.meta.traceparent);
  const outcome = await attempt(options, entity, stopping);
  // stopped before the mail server had all of it: no attempt was made
  if (outcome.kind === 'away' && stopping.aborted) return;
  await notifications.change({
    id: entity._id,
    command: { kind: 'attempt', outcome, random: Math.random() },
    context: serviceContext('notification', trace, { company_id: entity.company_id }),
    event: 'notification.attempted',
    ownership: 'recipient_id',
  });
  const details = { notification_id: entity._id, trace_id: trace.trace_id, ...outcome };
  if (outcome.kind === 'sent') return log.info(details, 'notification sent');
  log.warn(details, 'notification not sent');
  if (outcome.kind === 'away') throw new Error(`the mail server is away (${outcome.reason})`);
}

/** Never rejects but for a database that is away: what cannot be rendered will not be better another time. */
async function attempt(options: DeliveryOptions, entity: CurrentDocument, stopping: AbortSignal): Promise<DeliveryOutcome> {
  const { keyring, templates, mailer, log } = options;
  try {
    const [opened] = await openFields(keyring, [{ company_id: entity.company_id, data: entity.state }]);
    if (!opened || opened.invalid.length) return { kind: 'refused', reason: 'unreadable' };
    if (opened.erased.length) return { kind: 'refused', reason: 'erased' };
    const { to, template, data, locale } = opened.data as { to: string; template: string; data: string; locale: Locale };
    const message = templates.render(template, locale, JSON.parse(data) as Variables);
    return await mailer.send({ ...message, to, messageKey: entity._id }, stopping);
  } catch (error) {
    if (isUnavailable(error)) throw error;
    log.warn({ err: error, notification_id: entity._id }, 'notification cannot be rendered');
    return { kind: 'refused', reason: 'template' };
  }
}
