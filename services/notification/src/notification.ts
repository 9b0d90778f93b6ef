import { AppError, type Fault } from '@biz/errors';
import { Decided, type Patch, type Sealable, type Stamp, type StandardCommand } from '@biz/resource';
import type { DeliveryOutcome } from './mailer.ts';
import { defaultLocale, type Templates } from './templates.ts';

/** A notification as it is kept; `to` and `data` are sealed. */
export interface NotificationState {
  id: string;
  status: string;
  channel: string;
  /** Address; one inside the application goes to its recipient and has none. */
  to?: Sealable<string>;
  template: string;
  /** JSON text of the template's variables. */
  data?: Sealable<string>;
  locale: string;
  recipient_id?: string | null;
  attempts: number;
  /** When it is tried next, RFC 3339; null when it is not waiting. */
  next_attempt_at?: string | null;
  sent_at?: string | null;
  /** Why the last attempt failed, without personal data. */
  last_error?: string | null;
}

export type NotificationCommand =
  | { kind: 'retry' }
  /** One attempt was made. `random` in [0, 1) spreads the next attempts of many over half of the pause. */
  | { kind: 'attempt'; outcome: DeliveryOutcome; random: number };

export type RetryPolicy = {
  /** Attempts after which a notification has failed. */
  readonly maxAttempts: number;
  /** Pause after the first attempt; it doubles with each, in milliseconds. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
};

export interface NotificationFacts {
  templates: Pick<Templates, 'faults'>;
  policy: RetryPolicy;
  /** Why nothing can be sent to a URL; undefined when it can. */
  webhookFault: (url: string) => string | undefined;
}

type Decision = Patch<NotificationState> | Decided<NotificationState> | null;

/** What a command makes of a notification. It waits, is tried until it is sent or has failed, and may be made to wait again. */
export function decideNotification(
  command: (StandardCommand<NotificationState> | NotificationCommand) & Stamp,
  state: NotificationState | undefined,
  { templates, policy, webhookFault }: NotificationFacts,
): Decision {
  switch (command.kind) {
    case 'create':
      return created(command.fields, command.at, templates, webhookFault);
    case 'attempt':
      // another process was faster: what it found stands
      return state?.status === 'queued' ? attempted(state, command, policy) : null;
    case 'retry':
      if (state?.status === 'sent') throw new AppError('conflict', 'The notification was sent already.');
      if (state?.status === 'queued') return null;
      return { status: 'queued', attempts: 0, next_attempt_at: command.at, last_error: null };
    default:
      throw new AppError('unimplemented', 'A notification is not changed.');
  }
}

type Fields = Omit<NotificationState, 'id' | 'status'>;

/** One inside the application is with its recipient as soon as it is written down. */
function created(
  fields: Fields,
  at: string,
  templates: Pick<Templates, 'faults'>,
  webhookFault: NotificationFacts['webhookFault'],
): Decision {
  const { channel, to, template, data = '{}', locale = defaultLocale, recipient_id } = fields;
  const address = String(to);
  const faults = [...addressFaults(channel, address, recipient_id, webhookFault), ...templates.faults(template, parse(String(data)))];
  if (faults.length) throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
  const known = { channel, template, data, locale };
  if (channel === 'in_app') {
    const sent = { ...known, recipient_id: address, status: 'sent', attempts: 1, sent_at: at };
    return new Decided('notification.sent', sent);
  }
  return { ...known, to: address, ...(recipient_id && { recipient_id }), status: 'queued', attempts: 0, next_attempt_at: at };
}

const emailForm = /^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+\.[^\s@<>,;:"()[\]\\.]+$/u;
const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function addressFaults(
  channel: string,
  to: string,
  recipient: string | null | undefined,
  webhookFault: NotificationFacts['webhookFault'],
): Fault[] {
  switch (channel) {
    case 'email':
      return emailForm.test(to) && to.length <= 254 ? [] : [{ path: '/to', message: 'is not an e-mail address' }];
    case 'in_app':
      if (!uuidForm.test(to)) return [{ path: '/to', message: 'is not the id of a user' }];
      return recipient && recipient !== to ? [{ path: '/recipient_id', message: 'is not the user that it is sent to' }] : [];
    case 'webhook': {
      const message = webhookFault(to);
      return message === undefined ? [] : [{ path: '/to', message }];
    }
    default:
      return [{ path: '/channel', message: 'is not known' }];
  }
}

function attempted(
  state: NotificationState,
  { outcome, random, at }: Extract<NotificationCommand, { kind: 'attempt' }> & Stamp,
  policy: RetryPolicy,
): Decision {
  const attempts = state.attempts + 1;
  if (outcome.kind === 'sent') {
    const patch = { status: 'sent', attempts, next_attempt_at: null, sent_at: at, last_error: null };
    return new Decided('notification.sent', patch);
  }
  const last_error = outcome.reason;
  if (outcome.kind === 'refused' || attempts >= policy.maxAttempts) {
    return new Decided('notification.failed', { status: 'failed', attempts, next_attempt_at: null, last_error });
  }
  const pause = Math.min(policy.maxPauseMs, policy.firstPauseMs * 2 ** Math.min(attempts - 1, 30));
  const next = new Date(Date.parse(at) + pause / 2 + (random * pause) / 2);
  return new Decided('notification.attempt_failed', { attempts, next_attempt_at: next.toISOString(), last_error });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // told as not being an object
  }
}
