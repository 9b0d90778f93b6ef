import { describe, expect, it } from 'vitest';
import { decideNotification, type NotificationCommand, type NotificationState } from './notification.ts';
import { loadTemplates } from './templates.ts';
import { createAddressGuard } from './webhook/addresses.ts';

const at = '2026-11-21T12:00:00.000Z';
const stamp = { id: 'n-1', at };
const facts = {
  templates: loadTemplates(),
  policy: { maxAttempts: 3, firstPauseMs: 1_000, maxPauseMs: 3_000 },
  webhookFault: createAddressGuard({ networks: [], loopback: false }).fault,
};
const waiting: NotificationState = {
  ...{ id: 'n-1', channel: 'email', template: 'message', locale: 'en', status: 'queued', attempts: 0, next_attempt_at: at },
};
const userId = '01890000-0000-7000-8000-000000000000';
const data = '{"subject":"Hi","body":"there"}';

const create = (over: object) =>
  decideNotification(
    { kind: 'create', fields: { channel: 'email', to: 'maria@example.com', template: 'message', data, ...over } as never, ...stamp },
    undefined,
    facts,
  );
const decide = (command: NotificationCommand, state: Partial<NotificationState> = {}, policy = facts.policy) =>
  decideNotification({ ...command, ...stamp }, { ...waiting, ...state }, { ...facts, policy });

function paths(run: () => unknown): string[] {
  try {
    run();
    return [];
  } catch (error) {
    return (error as { faults: { path: string }[] }).faults.map((fault) => fault.path);
  }
}

describe('a new notification', () => {
  it('waits to be sent, in Portuguese unless told otherwise', () => {
    expect(create({})).toMatchObject({ status: 'queued', attempts: 0, next_attempt_at: at, locale: 'pt-BR', to: 'maria@example.com' });
  });

  it('inside the application is with its recipient at once', () => {
    expect(create({ channel: 'in_app', to: userId })).toMatchObject({
      event: 'notification.sent',
      patch: { status: 'sent', recipient_id: userId, sent_at: at },
    });
  });

  it.each([
    [{ to: 'maria' }, ['/to']],
    [{ to: 'a@example.com, b@example.com' }, ['/to']],
    [{ to: 'Maria <maria@example.com>' }, ['/to']],
    [{ to: 'maria@example.com\r\nBcc: x@example.com' }, ['/to']],
    [{ channel: 'in_app', to: 'maria@example.com' }, ['/to']],
    [{ channel: 'in_app', to: userId, recipient_id: '01890000-0000-7000-8000-000000000001' }, ['/recipient_id']],
    [{ channel: 'webhook', to: 'http://example.com' }, ['/to']],
    [{ channel: 'pigeon', to: 'roof' }, ['/channel']],
    [{ template: 'nope' }, ['/template']],
    [{ data: '{"subject":"Hi"}' }, ['/data/body']],
    [{ data: '[]' }, ['/data']],
    [{ data: '{' }, ['/data']],
    [{ data: undefined }, ['/data/subject', '/data/body']],
  ])('is refused with the path of each fault: %o', (over, expected) => {
    expect(paths(() => create(over))).toEqual(expected);
  });
});

describe('an attempt', () => {
  it('sends it once', () => {
    const sent = { kind: 'attempt', outcome: { kind: 'sent' }, random: 0 } as const;
    expect(decide(sent)).toMatchObject({
      event: 'notification.sent',
      patch: { status: 'sent', attempts: 1, next_attempt_at: null, sent_at: at },
    });
    expect(decide(sent, { status: 'sent' })).toBeNull();
  });

  it.each([
    [0, 0, 500],
    [0, 0.5, 750],
    [1, 0, 1_000],
    [1, 0.999, 1_999],
  ])('after %i others fails and the next, with jitter %d, is %i ms later', (attempts, random, pause) => {
    const next = new Date(Date.parse(at) + pause).toISOString();
    expect(decide({ kind: 'attempt', outcome: { kind: 'later', reason: 'smtp 451' }, random }, { attempts })).toMatchObject({
      event: 'notification.attempt_failed',
      patch: { attempts: attempts + 1, next_attempt_at: next, last_error: 'smtp 451' },
    });
  });

  it('is made no later than the longest pause', () => {
    const away = { kind: 'attempt', outcome: { kind: 'away', reason: 'ECONNECTION' }, random: 0 } as const;
    const next = new Date(Date.parse(at) + 1_500).toISOString();
    expect(decide(away, { attempts: 40 }, { ...facts.policy, maxAttempts: 99 })).toMatchObject({ patch: { next_attempt_at: next } });
  });

  it('is the last when it is refused for good, or was one too many', () => {
    const failed = { event: 'notification.failed', patch: { status: 'failed', next_attempt_at: null } };
    expect(decide({ kind: 'attempt', outcome: { kind: 'refused', reason: 'smtp 550' }, random: 0 })).toMatchObject(failed);
    expect(decide({ kind: 'attempt', outcome: { kind: 'later', reason: 'smtp 451' }, random: 0 }, { attempts: 2 })).toMatchObject(failed);
  });
});

it('may be tried again once it failed', () => {
  expect(decide({ kind: 'retry' }, { status: 'failed', attempts: 3 })).toMatchObject({
    status: 'queued',
    attempts: 0,
    next_attempt_at: at,
  });
  expect(decide({ kind: 'retry' })).toBeNull();
  expect(() => decide({ kind: 'retry' }, { status: 'sent' })).toThrow('sent already');
});
