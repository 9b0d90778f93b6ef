import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { openText, parseToken, sealText, unwrapKey, wrapKey } from './token.ts';

const key = createSecretKey(randomBytes(32));
const binding = { company_id: 'c1', ownership_id: 'o1', event_id: '0198a1b2-0000-7000-8000-000000000001', field: '/name' };

function open(token: string, over: Partial<typeof binding> = {}): string | undefined {
  const parsed = parseToken(token);
  return parsed && openText(key, { ...binding, ownership_id: parsed.ownership_id, event_id: parsed.event_id, ...over }, parsed.body);
}

describe('a sealed value', () => {
  test('names its owner and event, and opens to what went in', () => {
    const token = sealText(key, binding, '"Maria da Conceição 🌻"');
    expect(token).toMatch(/^s1\.bzE\.0198a1b2-0000-7000-8000-000000000001\.[\w-]+$/);
    expect(open(token)).toBe('"Maria da Conceição 🌻"');
  });

  test('of the same text differs every time', () => {
    expect(sealText(key, binding, 'x')).not.toBe(sealText(key, binding, 'x'));
  });

  test.each([
    ['company', { company_id: 'c2' }],
    ['owner', { ownership_id: 'o2' }],
    ['event', { event_id: '0198a1b2-0000-7000-8000-000000000002' }],
    ['field', { field: '/email' }],
  ])('does not open for another %s', (_, over) => {
    expect(open(sealText(key, binding, 'x'), over)).toBeUndefined();
  });

  test('does not open with any one character changed', () => {
    const token = sealText(key, binding, 'secret');
    for (let at = 0; at < token.length; at += 1) {
      for (const other of ['A', 'B', '.', '-', '=', '9']) {
        if (token[at] === other) continue;
        const changed = token.slice(0, at) + other + token.slice(at + 1);
        expect(open(changed), `changed at ${at} to ${other}`).toBeUndefined();
      }
    }
  });

  test('may carry any event id and owner', () => {
    for (const odd of ['a.b.c', '%2E', 'ação/1', '../..', ' ']) {
      const token = sealText(key, { ...binding, event_id: odd, ownership_id: odd }, 'x');
      expect(token.split('.')).toHaveLength(4);
      expect(parseToken(token)).toMatchObject({ event_id: odd, ownership_id: odd });
      expect(open(token)).toBe('x');
    }
  });

  test.each(['', 's1', 's1...', 's2.bzE.e.AAAA', 's1.bzE.%.AAAA', 's1.bzE.e.AA'])('%j is no token that opens', (text) => {
    expect(open(text)).toBeUndefined();
  });
});

describe('a wrapped key', () => {
  test('opens only with its key-encryption key and for its document', () => {
    const inner = randomBytes(32);
    const wrapped = wrapKey(key, inner, 'doc-1');
    expect(unwrapKey(key, wrapped, 'doc-1')).toEqual(inner);
    expect(unwrapKey(key, wrapped, 'doc-2')).toBeUndefined();
    expect(unwrapKey(createSecretKey(randomBytes(32)), wrapped, 'doc-1')).toBeUndefined();
  });
});
