import { ErasedError, type SealItem } from '@biz/sealing';
import type { SecurityEvent } from '@biz/security-events';
import { expect, it } from 'vitest';
import { storedEvents } from './seal.ts';

const at = new Date('2026-11-21T12:00:00.000Z');
const token = 's1.dS0x.e-1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

function event(over: Partial<SecurityEvent> = {}): SecurityEvent {
  return {
    ...{
      event_id: 'e-1',
      at,
      ip: '203.0.113.9',
      trace_id: 't',
      source: 'gateway_service',
      ownership_id: 'u-1',
      event_type: 'LOGIN_FAILED',
    },
    ...{
      severity: 'WARNING',
      user_id: 'u-1',
      user_email: { sealed: token },
      company_id: 'c-1',
      client_id: null,
      resource: null,
      action: null,
    },
    ...{ user_agent: null, request_id: null, success: false, error_message: null, details: {}, count: 1 },
    ...{ first_at: at.toISOString(), last_at: at.toISOString(), ...over },
  };
}

/** Tells what it was given; knows no key. */
function keyring(erased: readonly string[] = []) {
  const given: SealItem[] = [];
  return {
    given,
    async seal(items: readonly SealItem[]) {
      const gone = items.filter(({ ownership_id }) => erased.includes(ownership_id));
      if (gone.length > 0) throw new ErasedError(gone);
      given.push(...items);
      return items.map(({ field, text }) => `sealed ${field} ${text}`);
    },
    blindIndexes: async (items: readonly { value: string }[]) => items.map(({ value }) => `index of ${value}`),
  };
}

const one = async (over: Partial<SecurityEvent>, keys = keyring()) => (await storedEvents(keys, [event(over)], at))[0];

it('seals the address under a key of its month and of no company; what came sealed stays as it is', async () => {
  const keys = keyring();
  expect(await one({}, keys)).toMatchObject({
    user_email: token,
    user_agent: null,
    ip: 'sealed /ip "203.0.113.9"',
    ip_index: 'index of 203.0.113.9',
  });
  expect(keys.given).toEqual([
    { company_id: null, event_id: 'e-1', ownership_id: 'security-ip:2026-11', field: '/ip', text: '"203.0.113.9"' },
  ]);
});

it('seals for the person what a foreign producer sent in clear, and drops a token that is none', async () => {
  const kept = await one({ user_email: 'ana@example.com', user_agent: { sealed: 'ana@example.com' } });
  expect(kept).toMatchObject({ user_email: 'sealed /user_email "ana@example.com"', user_agent: null });
});

it('keeps nothing whose key was destroyed, and no way to find it', async () => {
  const kept = await one({ user_email: 'ana@example.com' }, keyring(['u-1', 'security-ip:2026-11']));
  expect(kept).toMatchObject({ user_email: null, ip: null, ip_index: null, user_id: 'u-1' });
});

it('keeps no address where none is known, and no index of what is none', async () => {
  for (const ip of ['0.0.0.0', '::', '']) expect(await one({ ip })).toMatchObject({ ip: null, ip_index: null });
  expect(await one({ ip: 'unix socket' })).toMatchObject({ ip: 'sealed /ip "unix socket"', ip_index: null });
});

it('keeps each id once, and of nonsense what can be kept', async () => {
  const events = [
    event(),
    event({ first_at: 'yesterday', count: 2 ** 40, details: { a: 'x'.repeat(20_000) }, resource: `\ud800${'y'.repeat(2_000)}` }),
  ];
  const [kept, ...more] = await storedEvents(keyring(), events, at);
  expect(more).toEqual([]);
  expect(kept).toMatchObject({ first_at: at, count: 2_147_483_647, details: '{"omitted_bytes":20008}' });
  expect(kept?.resource).toHaveLength(1_000);
  expect(kept?.resource?.isWellFormed()).toBe(true);
});
