import { describe, expect, test } from 'vitest';
import { firstIdAt, type HeadEvent, headsOfMixed, headsOfStreams } from './heads.ts';

const asOf = new Date('2026-11-21T12:00:00Z');
const cutoff = new Date('2026-11-21T11:59:30Z');
const settledAt = new Date('2026-11-21T11:00:00Z');
const justNow = new Date('2026-11-21T11:59:59Z');

function event(stream: string, version: number, published_at: Date | null = settledAt): HeadEvent {
  const at = `2026-11-21T10:00:${String(version).padStart(2, '0')}.000Z`;
  const meta = { entity_type: 'team', entity_id: stream, company_id: stream === 'none' ? null : 'c1' };
  return { _id: `${stream}-${version}`, stream_id: `team:${stream}`, version, at, published_at, meta };
}

async function collect(heads: typeof headsOfStreams, events: HeadEvent[]) {
  async function* source() {
    yield* events;
  }
  const batches = [];
  for await (const batch of heads(source(), cutoff, asOf)) batches.push(batch);
  return batches;
}

describe('heads', () => {
  test('one an entity, the newest, with all that is told of it', async () => {
    const [batch] = await collect(headsOfStreams, [event('a', 1), event('a', 2), event('none', 1)]);
    expect(batch).toEqual({
      as_of: '2026-11-21T12:00:00.000Z',
      in_flight_since: '',
      heads: [
        {
          ...{ entity_type: 'team', entity_id: 'a', company_id: 'c1', version: 2, last_event_id: 'a-2', published: true },
          ...{ last_event_at: '2026-11-21T10:00:02.000Z', settled_version: 2, settled_event_id: 'a-2' },
        },
        expect.not.objectContaining({ company_id: expect.anything() }),
      ],
    });
  });

  test.each([
    ['not published', null, false],
    ['published a moment ago', justNow, true],
  ])('an event %s is on its way, and so is all that follows it', async (_, published_at, published) => {
    const [batch] = await collect(headsOfStreams, [event('a', 1), event('a', 2, published_at), event('a', 3), event('b', 1, published_at)]);
    expect(batch?.in_flight_since).toBe('2026-11-21T10:00:01.000Z');
    expect(batch?.heads).toMatchObject([
      { version: 3, settled_version: 1, settled_event_id: 'a-1' },
      { version: 1, settled_version: 0, settled_event_id: '', published },
    ]);
  });

  test('come in batches, no entity in two of them; the last may be empty', async () => {
    const streams = Array.from({ length: 1_001 }, (_, n) => [event(`s${n}`, 1), event(`s${n}`, 2)]).flat();
    const batches = await collect(headsOfStreams, streams);
    expect(batches.map(({ heads }) => heads.length)).toEqual([500, 500, 1]);
    expect(new Set(batches.flatMap(({ heads }) => heads.map(({ entity_id, version }) => `${entity_id}/${version}`))).size).toBe(1_001);
    expect(await collect(headsOfStreams, [])).toEqual([{ heads: [], as_of: asOf.toISOString(), in_flight_since: '' }]);
  });

  test('of mixed streams have the newest event of each, batch by batch', async () => {
    const others = Array.from({ length: 499 }, (_, n) => event(`s${n}`, 1));
    const batches = await collect(headsOfMixed, [event('a', 4), ...others, event('a', 5), event('a', 6, null)]);
    expect(batches.map(({ heads }) => heads.length)).toEqual([500, 1]);
    expect(batches[0]?.heads[0]).toMatchObject({ entity_id: 'a', version: 4, settled_version: 4 });
    expect(batches[1]?.heads[0]).toMatchObject({ entity_id: 'a', version: 6, settled_version: 5 });
  });
});

test('the first id of a time is before every UUIDv7 of that time, and after those before', () => {
  expect(firstIdAt(new Date(0x0193_4f3a_7c00))).toBe('01934f3a-7c00-7000-8000-000000000000');
  expect(firstIdAt(new Date(-1))).toBe('00000000-0000-7000-8000-000000000000');
});
