import { expect, it } from 'vitest';
import { type EventSource, envelopeOf, readEnvelope } from './index.ts';

const event: EventSource = {
  _id: '01980000-0000-7000-8000-000000000001',
  version: 3,
  type: 'team.member_added',
  schema_version: '1.0',
  data: { id: 't-1', members: { 'u-1': { role: 'lead' } } },
  at: '2026-11-21T12:00:00.000Z',
  meta: {
    entity_type: 'team',
    entity_id: 't-1',
    action_type: 'update',
    company_id: 'c-1',
    client_id: null,
    ownership_id: 'c-1',
    owner_id: 'u-9',
    owner_ip: '203.0.113.9',
    owner_role: 'manager',
    owner_type: 'user',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    environment: 'production',
    blind_indexes: { email: 'b'.repeat(64) },
  },
};

it('makes the envelope of the standard, and the reader reads it back', () => {
  const message = envelopeOf(event, { service: 'team_service', instance: '5f0c6a3e-5c0e-4b0b-9a55-0d6a4a1f2f11' });
  expect(message.key).toBe('t-1');
  expect(message.headers).toEqual({ traceparent: event.meta.traceparent, event_id: event._id });
  expect(JSON.parse(message.value)).toEqual({
    producer_service: 'team_service',
    producer_service_id: '5f0c6a3e-5c0e-4b0b-9a55-0d6a4a1f2f11',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    timestamp: '2026-11-21T12:00:00.000Z',
    event_type: 'team.member_added',
    payload: event.data,
    metadata: {
      event_id: event._id,
      event_schema_version: '1.0',
      environment: 'production',
      owner_id: 'u-9',
      owner_ip: '203.0.113.9',
      owner_role: 'manager',
      owner_type: 'user',
      ownership_id: 'c-1',
      company_id: 'c-1',
      entity_type: 'team',
      entity_id: 't-1',
      entity_version: 3,
      action_type: 'update',
      sealing: 'fields',
      blind_indexes: { email: 'b'.repeat(64) },
    },
  });
  expect(readEnvelope({ value: Buffer.from(message.value), headers: message.headers })).toMatchObject({
    ok: true,
    event: {
      event_id: event._id,
      entity_version: 3,
      sealing: 'fields',
      client_id: null,
      company_id: 'c-1',
      blind_indexes: { email: 'b'.repeat(64) },
    },
  });
});
