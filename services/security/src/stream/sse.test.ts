import { describe, expect, it } from 'vitest';
import { bookmarkText, readBookmark, spans } from './position.ts';
import { sseComment, sseText } from './sse.ts';

/** The parser of WHATWG HTML 9.2.6, as far as it says what a client makes of a text. */
function parsed(text: string): { id: string; events: { type: string; data: string; id: string }[] } {
  const events: { type: string; data: string; id: string }[] = [];
  let id = '';
  let buffer = { id: '', type: '', data: '' };
  for (const line of text.split(/\r\n|\r|\n/)) {
    if (line === '') {
      id = buffer.id;
      if (buffer.data) events.push({ type: buffer.type || 'message', data: buffer.data.replace(/\n$/, ''), id });
      buffer = { id: buffer.id, type: '', data: '' };
      continue;
    }
    const [, name = line, value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (name === 'data') buffer.data += `${value}\n`;
    if (name === 'event') buffer.type = value;
    if (name === 'id' && !value.includes('\0')) buffer.id = value;
  }
  return { id, events };
}

describe('a server-sent event', () => {
  it('is what the client makes of it', () => {
    const text = sseText({ id: 'a1', event: 'security_event', data: '{"a":"x\\ny"}' });
    expect(parsed(text).events).toEqual([{ type: 'security_event', data: '{"a":"x\\ny"}', id: 'a1' }]);
  });

  it('has all its lines, and no line of the data becomes another field', () => {
    const data = 'one\r\nevent: evil\rid: 7\n\ndata: end';
    expect(parsed(sseText({ id: 'a', data })).events).toEqual([{ type: 'message', data: 'one\nevent: evil\nid: 7\n\ndata: end', id: 'a' }]);
  });

  it('without data only moves the id; a comment does nothing', () => {
    expect(parsed(`${sseComment('still\nhere')}${sseText({ id: 'b2', retry: 100 })}`)).toEqual({ id: 'b2', events: [] });
    expect(sseComment('still\nevent: x')).toBe(': still event: x\n');
  });

  it.each(['a\nb', 'a\rb', 'a\0b'])('refuses an id that clients would not keep: %j', (id) => {
    expect(() => sseText({ id, data: 'x' })).toThrow();
  });
});

describe('a bookmark', () => {
  const at = new Date('2026-11-21T15:00:00.123Z');
  const position = new Map([
    [11, 0],
    [2, 9_007_199_254_740_991],
  ]);

  it('comes back as it was', () => {
    expect(readBookmark(bookmarkText({ at, position }))).toEqual({ at, position });
    expect(readBookmark(bookmarkText({ at, position: new Map() }))).toEqual({ at, position: new Map() });
  });

  it.each(['', '~1.2', 'zz~1', 'zz~1.2~', 'zz~1.2~1.3', 'zz~-1.2', 'zz~1.9999999999999999', 'ZZ~1.2', 'zz ~1.2', '\u0661~1.2'])(
    'that was never given is refused: %j',
    (text) => {
      expect(() => readBookmark(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
    },
  );

  it('says where something lies beyond it, in partitions that were empty too', () => {
    const to = new Map([
      [0, 5],
      [1, 3],
      [2, 7],
    ]);
    expect(
      spans(
        new Map([
          [0, 5],
          [1, 9],
        ]),
        to,
      ),
    ).toEqual([{ partition: 2, from: 0, to: 7 }]);
  });
});
