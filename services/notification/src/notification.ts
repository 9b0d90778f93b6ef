import { AppError } from '@biz/errors';
import type { DeliveryOutcome } from './mailer.ts';

export const channels = ['email', 'webhook', 'in_app'] as const;
export type Channel = (typeof channels)[number];

/** A notification as it is kept; `to` and `data` are sealed. */
export type NotificationState = {
  id: string;
  channel: Channel;
  template: string;
  locale: string;
  recipient_id?: string | null;
  status: 'queued' | 'sent' | 'failed';
  attempts: number;
  /** When it is tried next, RFC 3339; null when it is not waiting. */
  next_attempt_at: string | null;
  sent_at?: string | null;
  last_error?: string | null;
};

/** What a decision appends: the event's type and what changes. */
export type Change = { readonly type: string; readonly data: Partial<NotificationState> };

export type RetryPolicy = {
  /** Attempts after which a notification has failed. */
  readonly maxAttempts: number;
  /** Pause after the first attempt; it doubles with each, in milliseconds. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
};

/** State of a new notification. One inside the application is with its recipient as soon as it is written down. */
export function queued(channel: Channel, at: string): Change {
  if (channel === 'in_app') return { type: 'notification.sent', data: { status: 'sent', attempts: 1, next_attempt_at: null, sent_at: at } };
  return { type: 'notification.queued', data: { status: 'queued', attempts: 0, next_attempt_at: at } };
}

/**
 * What an attempt's outcome makes of a notification; null when it is no longer waiting (another process was faster). `random` in [0, 1)
 * spreads the next attempts of many over half of the pause.
 */
export function attempted(
  state: NotificationState,
  outcome: DeliveryOutcome,
  at: Date,
  policy: RetryPolicy,
  random: number,
): Change | null {
  if (state.status !== 'queued') return null;
  const attempts = state.attempts + 1;
  switch (outcome.kind) {
    case 'sent':
      return {
        type: 'notification.sent',
        data: { status: 'sent', attempts, next_attempt_at: null, sent_at: at.toISOString(), last_error: null },
      };
    case 'refused':
      return failed(attempts, outcome.reason);
    case 'later':
    case 'away': {
      if (attempts >= policy.maxAttempts) return failed(attempts, outcome.reason);
      const pause = Math.min(policy.maxPauseMs, policy.firstPauseMs * 2 ** Math.min(attempts - 1, 30));
      const next = new Date(at.getTime() + pause / 2 + (random * pause) / 2);
      return { type: 'notification.attempt_failed', data: { attempts, next_attempt_at: next.toISOString(), last_error: outcome.reason } };
    }
    default:
      return outcome satisfies never;
  }
}

/** A failed notification waits again, with all its attempts; one that waits stays as it is. AppError `conflict` once it was sent. */
export function retried(state: NotificationState, at: string): Change | null {
  if (state.status === 'queued') return null;
  if (state.status === 'sent') throw new AppError('conflict', 'The notification was sent already.');
  return { type: 'notification.queued', data: { status: 'queued', attempts: 0, next_attempt_at: at, last_error: null } };
}

function failed(attempts: number, reason: string): Change {
  return { type: 'notification.failed', data: { status: 'failed', attempts, next_attempt_at: null, last_error: reason } };
}
