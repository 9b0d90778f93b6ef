import { type Batch, type Bus, type BusConsumer, headerText, type InMessage } from '@biz/bus';
import { type ReadEvent, readEnvelope } from '@biz/envelope';
import { AppError, isUnavailable } from '@biz/errors';
import { type JsonObject, parseJson } from '@biz/json';
import type { Resource } from '@biz/resource';
import { serviceContext } from '@biz/rpc';
import { type Keyring, openFields } from '@biz/sealing';
import { idFromKey, type TraceContext, traceContext } from '@biz/service';
import { SpanKind, traced } from '@biz/telemetry';
import type { NotificationCommand, NotificationState } from './notification.ts';
import { defaultLocale, locales } from './templates.ts';

export type WelcomeOptions = {
  readonly bus: Bus;
  readonly topic: string;
  readonly groupId: string;
  readonly keyring: Pick<Keyring, 'open'>;
  /** Whether a user is to be welcomed at all; asked again for the same event it gives the same answer. */
  readonly wanted: (event: ReadEvent) => Promise<boolean>;
  readonly notifications: Pick<Resource<NotificationState, NotificationCommand>, 'change'>;
  /** Users created longer ago than this are not welcomed, in milliseconds. */
  readonly maxAgeMs: number;
  readonly publicUrl: string | undefined;
  readonly log: { warn(details: object, message: string): void };
  /** The consumer died for a reason other than the brokers being away. */
  readonly onFatal: (error: Error) => void;
};

const welcomedEvent = 'user.created';
const producer = 'identity_service';

/** Welcomes each new user once, by e-mail: a consumer of the topic, with offsets of its own. */
export function startWelcome(options: WelcomeOptions): BusConsumer {
  const { bus, topic, groupId, onFatal } = options;
  return bus.consumer({
    groupId,
    topics: [topic],
    onFatal,
    batch: async ({ messages, signal }: Batch) => {
      for (const message of messages) {
        signal.throwIfAborted();
        await react(options, message);
      }
    },
  });
}

/** Rejects only when an engine is away, so that the message comes again; what cannot be welcomed must not hold up the others. */
async function react(options: WelcomeOptions, message: InMessage): Promise<void> {
  const event = newUser(message, Date.now() - options.maxAgeMs);
  if (!event) return;
  try {
    // a no is kept, and the event is done with
    if (!(await options.wanted(event))) return;
    await welcomeInTrace(options, event, headerText(message, 'traceparent'));
  } catch (error) {
    // the same event again, after a crash before its offset was committed
    if (error instanceof AppError && error.code === 'already_exists') return;
    if (isUnavailable(error) || (error instanceof AppError && error.code === 'version_conflict')) throw error;
    options.log.warn({ err: error, event_id: event.event_id }, 'a new user could not be welcomed');
  }
}

/** The event, when it tells of a user that identity created after `since`. */
export function newUser(message: Pick<InMessage, 'value' | 'headers'>, since: number): ReadEvent | undefined {
  // most messages are about something else: they are not read at all
  if (!message.value?.includes(welcomedEvent)) return undefined;
  const read = readEnvelope(message);
  if (!read.ok) return undefined; // the audit keeps it among the dead letters
  const { event } = read;
  const ours = event.event_type === welcomedEvent && event.producer_service === producer && event.sealing === 'fields';
  return ours && event.action_at.getTime() >= since ? event : undefined;
}

/** The welcome goes on in the trace of the user's creation. */
function welcomeInTrace(options: WelcomeOptions, event: ReadEvent, parent: string | undefined): Promise<void> {
  const attributes = { 'messaging.system': 'kafka', 'messaging.operation.type': 'process', 'messaging.destination.name': options.topic };
  return traced('notification welcome', { kind: SpanKind.CONSUMER, parent, attributes }, () =>
    welcome(options, event, traceContext(parent)),
  );
}

async function welcome({ keyring, notifications, publicUrl }: WelcomeOptions, event: ReadEvent, trace: TraceContext): Promise<void> {
  const { company_id } = event;
  const [opened] = await openFields(keyring, [{ company_id, data: parseJson(event.payload) as JsonObject }]);
  const { email, name, username, locale } = (opened?.data ?? {}) as Record<string, unknown>;
  // no e-mail, or the person's key was destroyed: nobody to write to
  if (typeof email !== 'string' || typeof name !== 'string' || typeof username !== 'string') return;
  await notifications.change({
    id: idFromKey('notification', `welcome:${event.event_id}`),
    command: {
      kind: 'create',
      fields: {
        ...{ channel: 'email', to: email, template: 'welcome', attempts: 0, recipient_id: event.entity_id },
        data: JSON.stringify({ name, username, ...(publicUrl && { url: publicUrl }) }),
        locale: locales.find((known) => known === locale) ?? defaultLocale,
      },
    },
    context: serviceContext('notification', trace, { company_id }),
    event: 'notification.queued',
    ownership: 'recipient_id',
  });
}
