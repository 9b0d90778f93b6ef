import { isUnavailable } from '@biz/errors';
import { type CurrentDocument, type EventStore, startWorker, type Worker } from '@biz/eventstore';
import type { Resource } from '@biz/resource';
import { serviceContext } from '@biz/rpc';
import { type Keyring, openFields } from '@biz/sealing';
import { traceContext } from '@biz/service';
import { askedOnce, counter, gauge, SpanKind, traced } from '@biz/telemetry';
import { type Channel, dueLookups } from './entities.ts';
import type { DeliveryOutcome } from './mailer.ts';
import type { NotificationCommand, NotificationState } from './notification.ts';

export type DeliveryOptions = {
  readonly store: EventStore;
  readonly keyring: Pick<Keyring, 'open'>;
  readonly notifications: Pick<Resource<NotificationState, NotificationCommand>, 'change'>;
  readonly channel: Channel;
  /** Hands one message over; rejects when it cannot be made. */
  readonly send: Send;
  /** Attempts at the same time. */
  readonly inParallel: number;
  readonly log: DeliveryLog;
  readonly pollMs?: number;
  readonly maxBackoffMs?: number;
};

/** A notification with its fields opened. */
export type OpenedNotification = Pick<CurrentDocument, '_id' | 'company_id' | 'created_at'> & {
  readonly fields: Readonly<Record<'to' | 'template' | 'data' | 'locale', string>>;
};

export type Send = (notification: OpenedNotification, stopping: AbortSignal) => Promise<DeliveryOutcome>;

export type DeliveryLog = {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
};

const batchSize = 100;
const leases: Record<Channel, string> = { email: 'delivery', webhook: 'webhooks' };

/**
 * Sends what is due of one channel; one process at a time does. An attempt's outcome is an event; a crash between the other side's yes and
 * that event means that the message is sent again, under the same id.
 */
export function startDelivery(options: DeliveryOptions): Worker {
  const { store, log, pollMs = 500, maxBackoffMs = 30_000 } = options;
  const work = (stopping: AbortSignal) => deliverDue(options, stopping);
  const worker = startWorker({ db: store.db, lease: leases[options.channel], work, pollMs, maxBackoffMs, log });
  const unlisten = store.onAppend(worker.wake);
  const watch = watchDue(options);
  return {
    wake: worker.wake,
    async [Symbol.asyncDispose]() {
      unlisten();
      watch[Symbol.dispose]();
      await worker[Symbol.asyncDispose]();
    },
  };
}

/** Lets every collection of metrics ask for how long what is due has been due. */
function watchDue({ store, channel }: DeliveryOptions): Disposable {
  const key = `keys.${dueLookups[channel]}`;
  const asked = askedOnce(async () => {
    const now = new Date().toISOString();
    const [first] = await store.current
      .find({ entity_type: 'notification', [key]: { $lte: now } }, { projection: { keys: 1 } })
      .sort({ [key]: 1 })
      .limit(1)
      .toArray();
    return first ? Math.max(0, Date.now() - Date.parse(String(first.keys[dueLookups[channel]]))) / 1_000 : 0;
  });
  return gauge('biz.notification.oldest', async () => [{ value: await asked(), attributes: { 'biz.channel': channel } }]);
}

/** One round; true when there was anything. Throws when the other side of all (or the database) is away, so that the rest waits. */
async function deliverDue(options: DeliveryOptions, stopping: AbortSignal): Promise<boolean> {
  const key = `keys.${dueLookups[options.channel]}`;
  const due = await options.store.current
    .find({ entity_type: 'notification', [key]: { $lte: new Date().toISOString() } })
    .sort({ [key]: 1 })
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
  const { store } = options;
  const [newest] = await store.events
    .find({ stream_id: `notification:${entity._id}` })
    .sort({ stream_id: -1, version: -1 })
    .limit(1)
    .toArray();
  // a process that ended between an outcome and its fold: what it sent is not sent again
  if (newest && newest.version > entity.version) return void (await store.ensureCurrent([newest]));
  const parent = newest?.meta.traceparent;
  await traced('notification deliver', { parent, attributes: { 'biz.channel': options.channel } }, () =>
    attemptOnce(options, entity, parent, stopping),
  );
}

const attempts = counter('biz.notification.attempts');

/** One attempt and its outcome, in the trace of the notification's newest event. */
async function attemptOnce(
  options: DeliveryOptions,
  entity: CurrentDocument,
  traceparent: string | undefined,
  stopping: AbortSignal,
): Promise<void> {
  const { notifications, channel, log } = options;
  const trace = traceContext(traceparent);
  const outcome = await attempt(options, entity, stopping);
  // stopped before the other side had all of it: no attempt was made
  if (outcome.kind === 'away' && stopping.aborted) return;
  await notifications.change({
    id: entity._id,
    command: { kind: 'attempt', outcome, random: Math.random() },
    context: serviceContext('notification', trace, { company_id: entity.company_id }),
    event: 'notification.attempted',
    ownership: 'recipient_id',
  });
  attempts.add(1, { 'biz.channel': channel, 'biz.outcome': outcome.kind });
  const details = { notification_id: entity._id, trace_id: trace.trace_id, ...outcome };
  if (outcome.kind === 'sent') return log.info(details, 'notification sent');
  log.warn(details, 'notification not sent');
  if (outcome.kind === 'away') throw new Error(`the mail server is away (${outcome.reason})`);
}

/** Never rejects but for a database that is away: what cannot be rendered will not be better another time. */
async function attempt(options: DeliveryOptions, entity: CurrentDocument, stopping: AbortSignal): Promise<DeliveryOutcome> {
  const { keyring, send, log } = options;
  try {
    const [opened] = await openFields(keyring, [{ company_id: entity.company_id, data: entity.state }]);
    if (!opened || opened.invalid.length) return { kind: 'refused', reason: 'unreadable' };
    if (opened.erased.length) return { kind: 'refused', reason: 'erased' };
    const message = { ...entity, fields: opened.data as OpenedNotification['fields'] };
    return await traced('notification send', { kind: SpanKind.CLIENT }, () => send(message, stopping));
  } catch (error) {
    if (isUnavailable(error)) throw error;
    log.warn({ err: error, notification_id: entity._id }, 'notification cannot be rendered');
    return { kind: 'refused', reason: 'template' };
  }
}
