import { readFileSync } from 'node:fs';
import { canonicalJson, type JsonObject, parseJson, sha256Hex } from '@biz/json';
import { describe, expect, it } from 'vitest';
import { type EnvelopeMessage, type ReadEvent, readEnvelope, rebuildEnvelope } from './index.ts';

interface Case {
  case: string;
  raw_base64?: string;
  expect: {
    outcome: 'recorded' | 'duplicate' | 'dead_letter';
    code?: string;
    trace_id?: string;
    version?: number;
    is_active?: boolean;
  } & Partial<ReadEvent>;
}

const lines = readFileSync(new URL('../fixtures/envelopes.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n');

/** The bytes a producer sent: cut out of the line, since parsing it would lose digits. */
function bytesOf(line: string, fixture: Case): Buffer {
  return fixture.raw_base64 === undefined
    ? Buffer.from(JSON.stringify((parseJson(line) as JsonObject).envelope))
    : Buffer.from(fixture.raw_base64, 'base64');
}

const base = JSON.parse(lines[0] as string).envelope;

function message(change: object | string, headers: EnvelopeMessage['headers'] = {}): EnvelopeMessage {
  const text = typeof change === 'string' ? change : JSON.stringify({ ...base, ...change });
  return { value: Buffer.from(text), headers };
}

function read(change: object | string, headers = {}): ReadEvent {
  const result = readEnvelope(message(change, headers));
  if (!result.ok) {
    throw new Error(JSON.stringify(result));
  }
  return result.event;
}

function refused(change: object | string): { code: string; paths: string[] } {
  const result = readEnvelope(message(change));
  return result.ok ? { code: 'read', paths: [] } : { code: result.code, paths: result.faults.map((fault) => fault.path) };
}

describe('the fixtures', () => {
  it.each(lines.map((line) => [JSON.parse(line).case as string, line]))('%s', (_, line) => {
    const fixture = JSON.parse(line) as Case;
    const bytes = bytesOf(line, fixture);
    const result = readEnvelope({ value: bytes, headers: {} });
    const { outcome, code, trace_id: traceKey, version: _version, is_active: _active, ...expected } = fixture.expect;
    if (outcome === 'dead_letter') {
      expect(result).toMatchObject({ ok: false, code });
    } else {
      expect(result).toMatchObject({ ok: true, event: expected });
      expect(result.ok && (traceKey ?? result.event.trace_key)).toBe(result.ok && result.event.trace_key);
      expect(result.ok && canonicalJson(rebuildEnvelope(result.event))).toBe(canonicalJson(parseJson(bytes.toString())));
    }
  });
});

describe('the event id', () => {
  const { event_id: _, ...metadata } = base.metadata;

  it('is the one in the metadata, else the header, else the hash of the canonical envelope', () => {
    expect(read({ metadata: { ...metadata, event_id: 'e-1' } }, { event_id: 'h-1' }).event_id).toBe('e-1');
    expect(read({ metadata }, { event_id: Buffer.from('h-1') }).event_id).toBe('h-1');
    expect(read({ metadata }, { event_id: ['h-1', 'h-2'] }).event_id).toBe('h-1');
    expect(read({ metadata }, { event_id: Buffer.from([0xff]) }).event_id).toBe(sha256Hex(canonicalJson({ ...base, metadata })));
  });

  it('does not depend on the order of members, but on every digit', () => {
    const text = JSON.stringify(base);
    const turned = JSON.stringify(Object.fromEntries(Object.entries(base).reverse()));
    expect(read(turned).event_id).toBe(read(text).event_id);
    expect(read(text.replace('"c-1"', '1.0')).event_id).not.toBe(read(text.replace('"c-1"', '1')).event_id);
  });
});

describe('the entity', () => {
  it('is named by the metadata before the payload, each by itself', () => {
    expect(read({ metadata: { ...base.metadata, entity_type: 'card_v2', entity_id: 'x' } })).toMatchObject({
      entity_type: 'card_v2',
      entity_id: 'x',
    });
    expect(read({ metadata: { ...base.metadata, entity_id: 77 } })).toMatchObject({ entity_type: 'card', entity_id: '77' });
    expect(read({ payload: { id: 1, public_id: 2 } }).entity_id).toBe('2');
    expect(read({ payload: { id: {}, public_id: '' } }).entity_id).toBe(read({ payload: { id: {}, public_id: '' } }).event_id);
  });

  it('takes everything before the last dot as its type', () => {
    expect(read({ event_type: 'shop.card.created' })).toMatchObject({ entity_type: 'shop.card', action_type: 'new' });
  });
});

describe('the action', () => {
  it.each([
    ['created', 'new'],
    ['added', 'new'],
    ['registered', 'new'],
    ['removed', 'delete'],
    ['deleted', 'delete'],
    ['disabled', 'disable'],
    ['deactivated', 'disable'],
    ['blocked', 'disable'],
    ['suspended', 'disable'],
    ['enabled', 'enable'],
    ['activated', 'enable'],
    ['reactivated', 'enable'],
    ['member_added', 'update'],
    ['painted', 'update'],
  ])('%s is %s', (verb, action) => {
    expect(read({ event_type: `card.${verb}` }).action_type).toBe(action);
  });

  it('goes by the verb when the named one is none of ours, and keeps the name', () => {
    const event = read({ metadata: { ...base.metadata, action_type: 'explode' } });
    expect(event.action_type).toBe('new');
    expect(JSON.parse(event.extra ?? '')).toEqual({ metadata: { action_type: 'explode' } });
  });
});

describe('what is refused, with every path', () => {
  const without = (name: string) => Object.fromEntries(Object.entries(base.metadata).filter(([key]) => key !== name));
  it.each([
    [{ producer_service: '' }, ['/producer_service']],
    [{ producer_service: 'x'.repeat(129) }, ['/producer_service']],
    [{ producer_service_id: 7 }, ['/producer_service_id']],
    [{ trace_id: '4bf92f35' }, ['/trace_id']],
    [{ timestamp: '2026-02-30T00:00:00Z' }, ['/timestamp']],
    [{ timestamp: '2026-11-20T25:00:00Z' }, ['/timestamp']],
    [{ event_type: 'Card.created' }, ['/event_type']],
    [{ event_type: 'created' }, ['/event_type']],
    [
      { metadata: [] },
      [
        '/metadata',
        '/metadata/owner_id',
        '/metadata/owner_ip',
        '/metadata/owner_role',
        '/metadata/owner_type',
        '/metadata/ownership_id',
        '/metadata/event_schema_version',
      ],
    ],
    [{ metadata: without('owner_ip'), payload: null }, ['/payload', '/metadata/owner_ip']],
    [{ metadata: { ...base.metadata, ownership_id: '\ud800' } }, ['/metadata/ownership_id']],
    [{ metadata: { ...base.metadata, ownership_id: 7 } }, ['/metadata/ownership_id']],
    [{ metadata: { ...without('owner_type'), user_id: 'u' } }, ['/metadata/owner_type']],
  ])('%j', (change, paths) => {
    expect(refused(change)).toEqual({ code: 'invalid_envelope', paths });
  });

  it('is a later major before anything else, and a key twice before that', () => {
    expect(refused({ payload: 1, metadata: { event_schema_version: '2.0' } }).code).toBe('unknown_schema_version');
    expect(refused({ metadata: { ...base.metadata, event_schema_version: '10.0' } }).code).toBe('unknown_schema_version');
    expect(refused({ metadata: { ...base.metadata, event_schema_version: '1.9.3' } }).code).toBe('read');
    expect(refused('{"a":1,"a":{}}')).toEqual({ code: 'invalid_json', paths: ['/a'] });
    expect(refused(`{"payload":${'['.repeat(10_000)}`).code).toBe('invalid_json');
    expect(refused('').code).toBe('invalid_json');
    expect(refused('null').code).toBe('invalid_envelope');
    expect(readEnvelope(message(base), { maxBytes: 100, maxDepth: 64 })).toMatchObject({ ok: false, code: 'too_large' });
    expect(readEnvelope({ value: null })).toMatchObject({ ok: false, code: 'invalid_json' });
  });
});

describe('what is kept', () => {
  it('is every unknown member, digit for digit, and prototype keys as data', () => {
    const text = JSON.stringify(base)
      .replace('{', '{"big":12345678901234567890,"__proto__":{"x":1},')
      .replace('"payload":{', '"payload":{"__proto__":{"y":1.0},');
    const event = read(text);
    expect(event.extra).toBe('{"envelope":{"big":12345678901234567890,"__proto__":{"x":1}}}');
    expect(event.payload).toBe('{"__proto__":{"y":1.0},"id":"c-1","holder":"Maria"}');
    expect(canonicalJson(rebuildEnvelope(event))).toBe(canonicalJson(parseJson(text)));
  });

  it('is what came in another form beside the form that is read', () => {
    const metadata = { ...base.metadata, owner_id: undefined, user_id: 789, company_id: null, entity_version: '3', environment: ['x'] };
    const event = read({ metadata });
    expect(event).toMatchObject({ owner_id: '789', company_id: null, entity_version: null, environment: null });
    expect(rebuildEnvelope(event)).toEqual({ ...base, metadata: JSON.parse(JSON.stringify(metadata)) });
  });

  it('is the time as it came, and as a point in time', () => {
    expect(read({ timestamp: '2026-11-20T09:30:00.123456-03:00' })).toMatchObject({
      timestamp: '2026-11-20T09:30:00.123456-03:00',
      action_at: new Date('2026-11-20T12:30:00.123Z'),
    });
    expect(read({ timestamp: '2016-12-31t23:59:60z' }).action_at).toEqual(new Date('2017-01-01T00:00:00.000Z'));
    expect(read({ timestamp: '0001-01-01T00:00:00Z' }).action_at.getUTCFullYear()).toBe(1);
  });

  it('takes blind indexes only from a producer that seals, and keeps them out of what is not sealed', () => {
    const blind = { document: 'a'.repeat(64), email: 'short' };
    expect(read({ metadata: { ...base.metadata, blind_indexes: blind } }).blind_indexes).toEqual({});
    const event = read({ metadata: { ...base.metadata, sealing: 'fields', blind_indexes: blind } });
    expect(event.blind_indexes).toEqual({ document: 'a'.repeat(64) });
    expect(event.extra).toContain('blind_indexes');
  });
});

it('never throws, whatever bytes come', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const bytes = Buffer.from(JSON.stringify(base));
  for (let run = 0; run < 5000; run += 1) {
    const copy = Buffer.from(bytes);
    for (let change = random(4); change >= 0; change -= 1) {
      copy[random(copy.length)] = random(256);
    }
    expect(typeof readEnvelope({ value: copy.subarray(0, copy.length - random(3)) }).ok, `SEED=${seed} run ${run}`).toBe('boolean');
  }
});
