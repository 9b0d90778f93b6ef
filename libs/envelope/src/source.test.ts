import { parseJson } from '@biz/json';
import { describe, expect, it } from 'vitest';
import { type EventSource, envelopeOf, sourceOf } from './index.ts';

const event: EventSource = {
  _id: '01980000-0000-7000-8000-000000000001',
  version: 3,
  type: 'user.updated',
  schema_version: '1.0',
  data: JSON.parse('{"id":"u-1","name":{"sealed":"s1.x"},"__proto__":{"a":[1,-0.5,null]},"$where":"y"}'),
  at: '2026-11-21T12:00:00.000Z',
  meta: {
    entity_type: 'user',
    entity_id: 'u-1',
    action_type: 'update',
    company_id: 'c-1',
    client_id: null,
    ownership_id: 'u-1',
    owner_id: 'u-9',
    owner_ip: '203.0.113.9',
    owner_role: 'manager',
    owner_type: 'user',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    environment: 'production',
    blind_indexes: { email_everywhere: 'a'.repeat(64), email: 'b'.repeat(64) },
  },
};
const sent = (change: Partial<EventSource['meta']> = {}) =>
  envelopeOf({ ...event, meta: { ...event.meta, ...change } }, { service: 'identity_service', instance: 'one' }).value;
// the text shows the order of the keys too
const text = (source: EventSource | undefined) => JSON.stringify(source);

describe('sourceOf', () => {
  it('gives the event back, field for field in the same order, but for the span', () => {
    const source = sourceOf(parseJson(sent()));
    expect(source?.meta.traceparent).toBe('00-4bf92f3577b34da6a3ce929d0e0e4736-8000000000000001-00');
    expect(text(source)).toBe(text({ ...event, meta: { ...event.meta, traceparent: source?.meta.traceparent ?? '' } }));
  });

  it('of a company of none, without blind indexes', () => {
    const { blind_indexes: _, ...meta } = event.meta;
    const value = envelopeOf({ ...event, meta: { ...meta, company_id: null } }, { service: 's', instance: 'i' }).value;
    expect(sourceOf(parseJson(value))?.meta).toEqual({ ...meta, company_id: null, traceparent: expect.any(String) });
  });

  it('an address that was dropped is the unspecified one', () => {
    const envelope = JSON.parse(sent());
    delete envelope.metadata.owner_ip;
    expect(sourceOf(envelope)?.meta.owner_ip).toBe('0.0.0.0');
  });

  it.each([
    ['of a producer that seals nothing', { sealing: undefined }],
    ['without a version', { entity_version: undefined }],
    ['with a version of none', { entity_version: 0 }],
    ['without an entity', { entity_id: '' }],
    ['with an unknown action', { action_type: 'merge' }],
    ['with a company that is a number', { company_id: 7 }],
  ])('none for an envelope %s', (_, change) => {
    const envelope = JSON.parse(sent());
    expect(sourceOf({ ...envelope, metadata: { ...envelope.metadata, ...change } })).toBeUndefined();
  });

  it.each([null, [], 'x', {}, { metadata: 1 }, { metadata: { sealing: 'fields' } }])('none for %j', (value) => {
    expect(sourceOf(value as never)).toBeUndefined();
  });
});
