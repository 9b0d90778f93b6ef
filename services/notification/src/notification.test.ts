import { describe, expect, it } from 'vitest';
import { attempted, type NotificationState, queued, retried } from './notification.ts';

const at = new Date('2026-11-21T12:00:00.000Z');
const policy = { maxAttempts: 3, firstPauseMs: 1_000, maxPauseMs: 3_000 };
const waiting: NotificationState = {
  id: 'n-1',
  channel: 'email',
  template: 'message',
  locale: 'en',
  status: 'queued',
  attempts: 0,
  next_attempt_at: at.toISOString(),
};

describe('a notification', () => {
  it('waits to be sent, or is with its recipient at once', () => {
    expect(queued('email', at.toISOString()).data).toMatchObject({ status: 'queued', next_attempt_at: at.toISOString() });
    expect(queued('in_app', at.toISOString())).toMatchObject({
      type: 'notification.sent',
      data: { status: 'sent', sent_at: at.toISOString() },
    });
  });

  it('is sent once', () => {
    const sent = attempted(waiting, { kind: 'sent' }, at, policy, 0);
    expect(sent).toMatchObject({ type: 'notification.sent', data: { status: 'sent', attempts: 1, next_attempt_at: null } });
    expect(attempted({ ...waiting, status: 'sent' }, { kind: 'sent' }, at, policy, 0)).toBeNull();
  });

  it.each([
    [0, 0, 500],
    [0, 0.5, 750],
    [1, 0, 1_000],
    [1, 0.999, 1_999],
  ])('after %i attempts and a failed one waits with jitter %d for %i ms', (attempts, random, pause) => {
    const change = attempted({ ...waiting, attempts }, { kind: 'later', reason: 'smtp 451' }, at, policy, random);
    expect(change?.type).toBe('notification.attempt_failed');
    expect(Date.parse(change?.data.next_attempt_at ?? '') - at.getTime()).toBe(pause);
    expect(change?.data).toMatchObject({ attempts: attempts + 1, last_error: 'smtp 451' });
  });

  it('waits no longer than the longest pause', () => {
    const change = attempted({ ...waiting, attempts: 40 }, { kind: 'away', reason: 'ECONNECTION' }, at, { ...policy, maxAttempts: 99 }, 0);
    expect(Date.parse(change?.data.next_attempt_at ?? '') - at.getTime()).toBe(1_500);
  });

  it('fails when refused for good, or after the last attempt', () => {
    expect(attempted(waiting, { kind: 'refused', reason: 'smtp 550' }, at, policy, 0)).toMatchObject({
      type: 'notification.failed',
      data: { status: 'failed', attempts: 1, next_attempt_at: null, last_error: 'smtp 550' },
    });
    expect(attempted({ ...waiting, attempts: 2 }, { kind: 'later', reason: 'smtp 451' }, at, policy, 0)?.data.status).toBe('failed');
  });

  it('may be tried again once it failed', () => {
    expect(retried({ ...waiting, status: 'failed', attempts: 3 }, at.toISOString())?.data).toMatchObject({ status: 'queued', attempts: 0 });
    expect(retried(waiting, at.toISOString())).toBeNull();
    expect(() => retried({ ...waiting, status: 'sent' }, at.toISOString())).toThrow('sent already');
  });
});
