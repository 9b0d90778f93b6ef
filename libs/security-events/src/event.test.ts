import { readEnvelope } from '@biz/envelope';
import { expect, test } from 'vitest';
import { eventName, readSecurityEvent, refusalType, securityEventTypes, severityOf, typeOfName } from './index.ts';

const envelope = (event_type: string, payload: object) => {
  const read = readEnvelope({
    value: Buffer.from(
      JSON.stringify({
        producer_service: 'gateway_service',
        producer_service_id: 'i',
        trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
        timestamp: '2026-11-21T12:00:00.000Z',
        event_type,
        payload,
        metadata: {
          ...{
            event_id: 'e-1',
            event_schema_version: '1.0',
            owner_id: 'u-1',
            owner_ip: '203.0.113.9',
            owner_role: 'user',
            owner_type: 'user',
          },
          ...{ ownership_id: 'u-1', company_id: 'c-1', sealing: 'fields' },
        },
      }),
    ),
    headers: {},
  });
  if (!read.ok) throw new Error(JSON.stringify(read.faults));
  return read.event;
};

test('every type has a name of its own on the topic, and comes back from it', () => {
  const names = securityEventTypes.map(eventName);
  expect(new Set(names).size).toBe(securityEventTypes.length);
  expect(names.map(typeOfName)).toEqual(securityEventTypes);
  expect(names).toContain('security.login_failed');
  expect(names).toContain('security.access_denied_wrong_company');
  expect(names).toContain('security.access_denied_wrong_client');
});

test('attempts at another tenant are critical', () => {
  expect(['wrong_company', 'wrong_client'].map((code) => severityOf(refusalType(code as 'wrong_company') ?? 'LOGOUT'))).toEqual([
    'CRITICAL',
    'CRITICAL',
  ]);
  expect(refusalType('token_missing')).toBeUndefined();
});

test('an event is read with what its envelope says; what is missing or of another form is nothing', () => {
  const payload = { severity: 'ERROR', user_id: 'u-1', user_email: { sealed: 's1.x' }, resource: 7, details: { a: 1 }, count: 3 };
  expect(readSecurityEvent(envelope('security.login_failed', payload))).toMatchObject({
    ...{ event_id: 'e-1', event_type: 'LOGIN_FAILED', severity: 'ERROR', ip: '203.0.113.9', company_id: 'c-1', client_id: null },
    ...{ user_email: { sealed: 's1.x' }, user_agent: null, resource: null, count: 3, success: false, details: { a: 1 } },
    first_at: '2026-11-21T12:00:00.000Z',
  });
  expect(readSecurityEvent(envelope('security.login_failed', {}))).toMatchObject({ severity: 'WARNING', count: 1 });
  expect(readSecurityEvent(envelope('card.created', payload))).toBeUndefined();
});
