import { describe, expect, it } from 'vitest';
import { draftOf, eventTypes, fold } from './draft.ts';
import type { KeycloakEvent, KnownUser } from './keycloak-events.ts';

const id = (n: number) => `733de97a-54f6-43b5-a5aa-${String(n).padStart(12, '0')}`;
const event = (n: number, over: Partial<KeycloakEvent> = {}): KeycloakEvent => ({
  ...{ id: id(n), time: 1_795_275_023_000 + n, type: 'LOGIN_ERROR', clientId: 'biz-cli', userId: 'kc-1', ipAddress: '203.0.113.9' },
  ...{ error: 'invalid_user_credentials', details: { username: 'ana', grant_type: 'password', token_id: 'secret', code_id: 'secret' } },
  ...over,
});
const ana: KnownUser = { id: 'u-1', email: 'ana@example.com', companies: ['c-1'], clients: [] };

it('takes every type of Keycloak that people and programs log in, out and renew by', () => {
  const named = eventTypes.map((type) => [type, draftOf([event(1, { type })], ana, undefined).event_type]);
  expect(Object.fromEntries(named)).toEqual({
    ...{ LOGIN: 'LOGIN_SUCCESS', LOGIN_ERROR: 'LOGIN_FAILED', LOGOUT: 'LOGOUT', REFRESH_TOKEN: 'TOKEN_REFRESHED' },
    ...{ CLIENT_LOGIN: 'LOGIN_SUCCESS', CLIENT_LOGIN_ERROR: 'LOGIN_FAILED', CODE_TO_TOKEN_ERROR: 'LOGIN_FAILED' },
    ...{ REFRESH_TOKEN_ERROR: 'TOKEN_INVALID' },
  });
});

it('folds renewals of one session’s person, client and address; never failures', () => {
  const renewal = (n: number, over: Partial<KeycloakEvent> = {}) => event(n, { type: 'REFRESH_TOKEN', ...over });
  const groups = fold([
    event(1),
    renewal(2),
    event(3),
    renewal(4),
    renewal(5, { userId: 'kc-2' }),
    renewal(6, { ipAddress: '203.0.113.10' }),
  ]);
  expect(groups.map((group) => group.map(({ id }) => Number(id.slice(-3))))).toEqual([[1], [2, 4], [3], [5], [6]]);
});

describe('an event', () => {
  it('says who, from where, by what and why, and nothing of tokens', () => {
    const draft = draftOf([event(7)], ana, undefined);
    expect(draft).toMatchObject({
      ...{ user_id: 'u-1', user_email: 'ana@example.com', company_id: 'c-1', ip: '203.0.113.9', resource: 'keycloak:biz-cli' },
      ...{ action: 'LOGIN_ERROR', error_message: 'invalid_user_credentials', count: 1, first_at: '2026-11-21T15:30:23.007Z' },
      ...{ details: '{"grant_type":"password"}', trace_id: id(7).replaceAll('-', '') },
    });
    expect(JSON.stringify(draft)).not.toMatch(/secret|"ana"/);
  });

  it('has the same id whenever it is told, and the time of its first and last', () => {
    const group = [event(1), event(2), event(9)];
    const [once, again] = [draftOf(group, ana, undefined), draftOf(group.slice(0, 1), undefined, undefined)];
    expect(once.event_id).toBe(again.event_id);
    expect(once).toMatchObject({ count: 3, first_at: '2026-11-21T15:30:23.001Z', last_at: '2026-11-21T15:30:23.009Z' });
    expect(draftOf([event(2)], ana, undefined).event_id).not.toBe(once.event_id);
  });

  it('of nobody known has an index of the name that was tried, not the name', () => {
    const { userId: _, ...nobody } = event(1);
    const draft = draftOf([{ ...nobody, ipAddress: 'not an address' }], undefined, 'index');
    expect(draft.details).toBe('{"grant_type":"password","name_index":"index"}');
    for (const name of ['user_id', 'user_email', 'company_id', 'ip']) expect(draft).not.toHaveProperty(name);
    expect(JSON.stringify(draft)).not.toContain('ana');
  });

  it('of somebody in several companies, or in all, is of none', () => {
    for (const companies of [[], ['c-1', 'c-2'], ['*']]) {
      expect(draftOf([event(1)], { ...ana, companies }, undefined)).not.toHaveProperty('company_id');
    }
  });

  it('repeats no text that is no code', () => {
    expect(draftOf([event(1, { error: 'Ana Silva said: "x"' })], ana, undefined).error_message).toBe('other');
  });
});
