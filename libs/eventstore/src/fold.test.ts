import { expect, test } from 'vitest';
import { claimsOf, entityOf, evolve, nextEventId, streamId } from './fold.ts';
import { draft, things } from './testing.ts';
import type { CurrentDocument, EventDocument } from './types.ts';

function event(version: number, data: EventDocument['data'], over: Parameters<typeof draft>[2] = {}): EventDocument {
  const { type, data: patch, meta } = draft('updated', data, over);
  const at = `2026-11-21T12:00:0${version}.000Z`;
  const entity = { entity_type: 'thing', entity_id: 't1' };
  return {
    _id: `e${version}`,
    stream_id: 'thing:t1',
    version,
    type,
    schema_version: '1.0',
    data: patch,
    at,
    meta: { ...entity, ...meta },
    published_at: null,
  };
}

const fold = (...events: EventDocument[]) =>
  events.reduce<CurrentDocument | undefined>((entity, one) => evolve(things, entity, one), undefined);

test('a fold merges patches and keeps the time of the first event', () => {
  const entity = fold(
    event(1, { id: 't1', code: 'A', name: 'x', members: { u1: { role: 'a' } } }),
    event(2, { name: null, members: { u1: null, u2: {} } }),
  );
  expect(entity).toMatchObject({
    _id: 't1',
    version: 2,
    last_event_id: 'e2',
    status: 'active',
    created_at: '2026-11-21T12:00:01.000Z',
    updated_at: '2026-11-21T12:00:02.000Z',
    keys: { code: 'A' },
  });
  expect(entity?.state).toEqual({ id: 't1', code: 'A', members: { u2: {} } });
});

test('blind indexes stay until they change; a lookup key goes with its value', () => {
  const first = event(1, { document: { sealed: 's1.x' } }, { blind_indexes: { document: 'd1', email: 'm1' } });
  const second = event(2, { name: 'x' }, { blind_indexes: { email: 'm2' } });
  expect(fold(first, second)).toMatchObject({ blind_indexes: { document: 'd1', email: 'm2' }, keys: { document: 'd1' } });
  expect(fold(first, second, event(3, { document: null }))?.keys).toEqual({});
});

test('a deleted entity has neither keys nor claims', () => {
  const entity = fold(event(1, { code: 'A' }));
  expect(claimsOf(things, entity)).toEqual([{ name: 'code', key: 'c1/A' }]);
  const deleted = fold(event(1, { code: 'A' }), event(2, { status: 'deleted' }));
  expect(deleted).toMatchObject({ status: 'deleted', keys: {} });
  expect(claimsOf(things, deleted)).toEqual([]);
});

test('keys that look like operators or prototypes are data', () => {
  const data = JSON.parse('{"$where":1,"a.b":2,"__proto__":{"polluted":true}}');
  const entity = fold(event(1, data));
  expect(JSON.stringify(entity?.state)).toBe(JSON.stringify(data));
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test('event ids grow within a stream, in one millisecond and when the clock goes back', () => {
  let last: string | undefined;
  for (const now of [1_800_000_000_000, 1_800_000_000_000, 1_800_000_000_000, 1_700_000_000_000, 1_700_000_000_001, 1_800_000_000_002]) {
    const id = nextEventId(last, now);
    expect(id > (last ?? '')).toBe(true);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    last = id;
  }
});

test('a stream names its entity', () => {
  expect(entityOf(streamId('cost_center', 'a:b'))).toEqual({ entityType: 'cost_center', entityId: 'a:b' });
});
