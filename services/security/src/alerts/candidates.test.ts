import { type ReadEvent, readEnvelope } from '@biz/envelope';
import type { Keyring } from '@biz/sealing';
import { readSecurityEvent } from '@biz/security-events';
import { describe, expect, it } from 'vitest';
import { candidatesOf } from './candidates.ts';
import { alertShape } from './config.ts';
import { type Defaults, ruleBook, type StoredRule } from './rules.ts';

const now = new Date('2026-11-21T12:00:00.000Z');
const setting = (name: keyof Defaults) => alertShape[name].parse(undefined);
const defaults: Defaults = {
  ALERT_FAILED_LOGINS_BY_USER: setting('ALERT_FAILED_LOGINS_BY_USER'),
  ALERT_FAILED_LOGINS_BY_IP: setting('ALERT_FAILED_LOGINS_BY_IP'),
  ALERT_CROSS_TENANT: setting('ALERT_CROSS_TENANT'),
  ALERT_DELETES: setting('ALERT_DELETES'),
  ALERT_PERSONAL_READS: setting('ALERT_PERSONAL_READS'),
  ALERT_NEW_COUNTRY: setting('ALERT_NEW_COUNTRY'),
};
/** Opens what is `s1.<name>`; an index is the value in brackets. */
const keyring = {
  open: async (items) => items.map(({ token }) => ({ ok: true, text: JSON.stringify(token.slice(3)) })),
  blindIndexes: async (items) => items.map(({ kind, value }) => `${kind}(${value.toLowerCase()})`),
} as Pick<Keyring, 'open' | 'blindIndexes'>;

let nextId = 0;

function event(event_type: string, payload: object, over: Record<string, unknown> = {}): ReadEvent {
  nextId += 1;
  const { producer_service = 'gateway_service', timestamp = now.toISOString(), ...metadata } = over;
  const read = readEnvelope({
    value: Buffer.from(
      JSON.stringify({
        ...{ producer_service, producer_service_id: 'i', trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', timestamp, event_type, payload },
        metadata: {
          ...{ event_id: `e-${nextId}`, event_schema_version: '1.0', owner_id: 'u-1', owner_ip: '203.0.113.9', owner_role: 'user' },
          ...{ owner_type: 'user', ownership_id: 'u-1', company_id: 'c-1', sealing: 'fields', ...metadata },
        },
      }),
    ),
    headers: {},
  });
  if (!read.ok) throw new Error(JSON.stringify(read.faults));
  return read.event;
}

async function counted(all: ReadEvent[], stored: StoredRule[] = []) {
  const book = ruleBook(stored, defaults, 'en');
  const events = all.flatMap((one) => readSecurityEvent(one) ?? []);
  const candidates = await candidatesOf(keyring, book, events, all, now);
  return candidates.map(({ rule, hits, user_id, subject }) => ({
    rule: `${rule.company_id}/${rule.id}`,
    n: hits.reduce((sum, { n }) => sum + n, 0),
    who: user_id ?? subject,
  }));
}

const stored = (over: Partial<StoredRule>): StoredRule => ({
  ...{ id: 'own', company_id: 'c-1', name: 'x', kind: 'failed_logins', threshold: 2, window_seconds: 60, group_by: 'user' },
  ...{ severity: 'WARNING', status: 'active', ...over },
});

describe('what counts', () => {
  it('a failed login: for its user in the company, for its address over all companies', async () => {
    const events = [event('security.login_failed', { user_id: 'u-1' }), event('security.login_failed', { user_id: 'u-2', count: 3 })];
    expect(await counted(events)).toEqual([
      { rule: 'c-1/builtin:failed_logins:user', n: 1, who: 'u-1' },
      { rule: 'null/builtin:failed_logins:ip', n: 4, who: '203.0.113.9' },
      { rule: 'c-1/builtin:failed_logins:user', n: 3, who: 'u-2' },
    ]);
  });

  it('a failed login of somebody unknown: for the name that was tried, in any spelling; without name and address for nobody', async () => {
    const by = (name: string) =>
      event('security.login_failed', { user_email: { sealed: `s1.${name}` } }, { company_id: undefined, owner_ip: '0.0.0.0' });
    expect(await counted([by('Ana@example.com'), by('ana@example.com')])).toEqual([
      { rule: 'null/builtin:failed_logins:user', n: 2, who: 'Ana@example.com' },
    ]);
    expect(await counted([event('security.login_failed', {}, { owner_ip: '0.0.0.0' })])).toEqual([]);
    // Keycloak's events bring the index alone
    const indexed = (name_index: string) => event('security.login_failed', { details: { name_index } }, { owner_ip: '0.0.0.0' });
    expect(await counted([indexed('x'), indexed('x'), indexed('y')])).toEqual([
      { rule: 'c-1/builtin:failed_logins:user', n: 2, who: null },
      { rule: 'c-1/builtin:failed_logins:user', n: 1, who: null },
    ]);
  });

  it('attempts at another tenant, and no other refusals', async () => {
    const events = ['access_denied_wrong_company', 'access_denied_wrong_client', 'access_denied_no_role', 'token_expired', 'login_success'];
    expect(await counted(events.map((name) => event(`security.${name}`, { user_id: 'u-1' })))).toEqual([
      { rule: 'c-1/builtin:cross_tenant:user', n: 2, who: 'u-1' },
    ]);
  });

  it('deletions by people of any producer, not by services', async () => {
    const deleted = (over: object = {}) =>
      event('team.deleted', {}, { action_type: 'delete', entity_type: 'team', entity_id: 't', ...over });
    expect(await counted([deleted(), deleted({ owner_type: 'service' }), deleted({ action_type: 'update' })])).toEqual([
      { rule: 'c-1/builtin:delete_burst:user', n: 1, who: 'u-1' },
    ]);
  });

  it('records that the audit says were shown opened', async () => {
    const read = (payload: object, producer_service = 'audit_service') => event('audit.read', payload, { producer_service });
    const events = [
      read({ opens: ['payload'], count: 40 }),
      read({ opens: ['payload', 'owner_ip'], count: 2 }),
      read({ opens: ['owner_ip'], count: 500 }),
      read({ opens: ['payload'], count: 0 }),
      read({ opens: ['payload'], count: 'many' }),
      // somebody else's event of that name
      read({ opens: ['payload'], count: 9_000 }, 'team_service'),
    ];
    expect(await counted(events)).toEqual([{ rule: 'c-1/builtin:bulk_personal_reads:user', n: 42, who: 'u-1' }]);
  });

  it('not what is far ahead of the clock; what is long past counts', async () => {
    const at = (timestamp: string) => event('security.access_denied_wrong_company', { user_id: 'u-1' }, { timestamp });
    expect(await counted([at('2026-11-21T12:11:00.000Z'), at('2031-01-01T00:00:00.000Z')])).toEqual([]);
    expect(await counted([at('2026-11-21T12:09:00.000Z'), at('2020-01-01T00:00:00.000Z')])).toMatchObject([{ n: 2 }]);
  });
});

describe('rules of a company', () => {
  const failed = () => [event('security.login_failed', { user_id: 'u-1' })];
  const names = async (...rules: StoredRule[]) => (await counted(failed(), rules)).map(({ rule }) => rule);

  it('take the place of the built-in ones of their kind, also disabled, and of nobody else', async () => {
    expect(await names(stored({}))).toEqual(['c-1/own', 'null/builtin:failed_logins:ip']);
    expect(await names(stored({ status: 'disabled' }))).toEqual(['null/builtin:failed_logins:ip']);
    expect(await names(stored({ kind: 'cross_tenant' }))).toEqual(['c-1/builtin:failed_logins:user', 'null/builtin:failed_logins:ip']);
    expect(await names(stored({ company_id: 'c-2' }))).toEqual(['c-1/builtin:failed_logins:user', 'null/builtin:failed_logins:ip']);
  });

  it('may be several of one kind; the platform has its own', async () => {
    expect(
      await names(stored({}), stored({ id: 'all', group_by: 'company' }), stored({ id: 'p', company_id: null, group_by: 'ip' })),
    ).toEqual(['c-1/own', 'c-1/all', 'null/p']);
  });
});

it('a threshold is count and seconds, or off', () => {
  const { ALERT_DELETES } = alertShape;
  expect(ALERT_DELETES.parse('7/30')).toEqual({ count: 7, seconds: 30 });
  expect(ALERT_DELETES.parse('off')).toBeNull();
  for (const text of ['0/30', '7', '7/0', 'x/y', '-1/5']) expect(ALERT_DELETES.safeParse(text).success).toBe(false);
});
