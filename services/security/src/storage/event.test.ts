import { describe, expect, it } from 'vitest';
import { cursorAt, eventOf, keyText, newestFirst, placeOf, textOf } from './event.ts';

describe('an id as it is kept', () => {
  it('is the id itself, or a digest of what an engine could not index or would order otherwise', () => {
    expect(keyText('01a1feb6-1a03-70e2-9357-a037e23d232e')).toBe('01a1feb6-1a03-70e2-9357-a037e23d232e');
    for (const id of ['x'.repeat(201), 'joão', 'a\u0000', '', '#x', '\ud800']) expect(keyText(id)).toMatch(/^#[0-9a-f]{64}$/);
    expect(keyText(keyText('joão'))).not.toBe(keyText('joão'));
    expect(keyText('\ud800')).not.toBe(keyText('\ud801'));
  });
});

describe('a cursor', () => {
  it('names a place, and is nothing else', () => {
    const place = { occurred_at: new Date(1_700_000_000_123), event_id: 'e "1"' };
    expect(placeOf(cursorAt(place))).toEqual(place);
    for (const bad of ['', '%%%', cursorAt(place).slice(2), Buffer.from('[1,"x",2]').toString('base64url')]) {
      expect(() => placeOf(bad)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
    }
  });
});

it('the newest comes first, and of one time the larger id', () => {
  const place = (ms: number, event_id: string) => ({ occurred_at: new Date(ms), event_id });
  const sorted = [place(1, 'b'), place(2, 'a'), place(1, 'c'), place(2, 'B')].sort(newestFirst);
  expect(sorted.map(({ event_id }) => event_id)).toEqual(['a', 'B', 'c', 'b']);
});

it('a line is the event that was written, or nothing', () => {
  const at = new Date('2026-11-21T12:00:00.001Z');
  const event = { event_id: 'e', occurred_at: at, received_at: at, first_at: at, last_at: at } as Parameters<typeof textOf>[0];
  expect(eventOf(textOf(event))).toEqual(event);
  for (const text of ['', '{', textOf(event).slice(0, -3), 'null', '[]', '{"event_id":"e"}', '{"event_id":1}'])
    expect(eventOf(text)).toBeUndefined();
});
