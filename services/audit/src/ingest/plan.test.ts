import { type ReadEvent, readEnvelope } from '@biz/envelope';
import { describe, expect, it } from 'vitest';
import { entityKey, indexKey } from '../keys.ts';
import { envelope } from '../testing/harness.ts';
import type { EntityState, Incoming, Placed, Snapshot } from './batch.ts';
import { planBatch } from './plan.ts';
import { readMessage } from './reading.ts';

const card = entityKey(null, 'card', 'c-1');

function event(id: string, verb = 'changed', more: object = {}): ReadEvent {
  const result = readEnvelope({
    value: Buffer.from(JSON.stringify(envelope({ event_type: `card.${verb}`, metadata: { event_id: id }, ...more }))),
  });
  if (!result.ok) throw new Error(JSON.stringify(result));
  return result.event;
}

function incoming(offset: number, one: ReadEvent): Incoming {
  return { offset, event: one, eventKey: indexKey(one.event_id), entityKey: entityKey(one.company_id, one.entity_type, one.entity_id) };
}

function snapshot(more: Partial<Snapshot> = {}): Snapshot {
  return { log_id: 'audit-0', base: 0, placed: [], verdicts: new Map(), entities: new Map(), ...more };
}

const placed = (leaf_index: number, offset: number, event_id: string, version: number): Placed => ({
  leaf_index,
  offset,
  event_id,
  entity_key: card,
  version,
});
const state = (version: number, active: boolean): EntityState => ({
  version,
  newest: { record_id: `old-${version}`, active },
  flagged: active ? [`old-${version}`] : [],
});

describe('a batch that is new', () => {
  it('gets places and versions in order of offsets, after what is there', () => {
    const plan = planBatch(snapshot({ base: 7, entities: new Map([[card, state(4, true)]]) }), [
      incoming(20, event('a')),
      { offset: 21, fault: { code: 'invalid_json', faults: [] } },
      incoming(22, event('b', 'blocked')),
      incoming(23, event('c')),
    ]);
    expect(plan.records.map(({ leaf_index, offset, version, active_after }) => [leaf_index, offset, version, active_after])).toEqual([
      [7, 20, 5, true],
      [8, 22, 6, false],
      [9, 23, 7, false],
    ]);
    expect(plan).toMatchObject({
      size: 10,
      superseded: ['old-4', 'audit-0.000000000007'],
      letters: [{ offset: 21, code: 'invalid_json' }],
      voids: [],
    });
    expect(plan.heads).toMatchObject([{ version: 7, record_id: 'audit-0.000000000009', active: false }]);
  });

  it('wakes an entity only by new and enable', () => {
    const active = (verbs: string[]) =>
      planBatch(
        snapshot(),
        verbs.map((verb, index) => incoming(index, event(`e${index}`, verb))),
      ).records.map((one) => one.active_after);
    expect(active(['changed', 'blocked', 'changed', 'activated', 'deleted', 'changed', 'created'])).toEqual([
      true,
      false,
      false,
      true,
      false,
      false,
      true,
    ]);
  });

  it('has each event once: the same again is nothing, other content a dead letter', () => {
    const first = event('a');
    const plan = planBatch(snapshot(), [
      incoming(0, first),
      incoming(1, { ...first, producer_service_id: 'the relay, started again' }),
      incoming(2, { ...first, payload: '{"id":"c-1","other":1}' }),
    ]);
    expect([plan.records.length, plan.duplicates, plan.letters.map(({ offset, code }) => [offset, code])]).toEqual([
      1,
      1,
      [[2, 'event_id_conflict']],
    ]);
  });
});

describe('a batch that comes again', () => {
  it('changes nothing when all of it is below the base', () => {
    const verdicts = new Map([
      [5, 'mine' as const],
      [6, 'mine' as const],
    ]);
    const plan = planBatch(snapshot({ base: 9, verdicts, entities: new Map([[card, state(2, true)]]) }), [
      incoming(5, event('a')),
      incoming(6, event('b')),
    ]);
    expect(plan).toMatchObject({ records: [], heads: [], superseded: [], leaves: [], duplicates: 2, size: 9 });
  });

  it('keeps what an unfinished try placed, and gives the others the places that were theirs', () => {
    const before = snapshot({
      base: 3,
      placed: [placed(4, 11, 'b', 1)],
      entities: new Map([[card, { ...state(1, true), flagged: ['audit-0.000000000004'] }]]),
    });
    const other = event('a', 'changed', { payload: { id: 'c-2' } });
    const plan = planBatch(before, [incoming(10, other), incoming(11, event('b'))]);
    expect(plan.records.map(({ leaf_index, offset }) => [leaf_index, offset])).toEqual([[3, 10]]);
    expect(plan.leaves.map(({ leaf_index, version }) => [leaf_index, version])).toEqual([
      [3, 1],
      [4, 1],
    ]);
    expect(plan.size).toBe(5);
  });

  it('fills the place of an event that another log has meanwhile', () => {
    const before = snapshot({
      base: 3,
      placed: [placed(4, 11, 'b', 1)],
      verdicts: new Map([[10, 'same' as const]]),
      entities: new Map([[card, state(1, true)]]),
    });
    const plan = planBatch(before, [incoming(10, event('a')), incoming(11, event('b'))]);
    expect(plan).toMatchObject({ records: [], voids: [{ leaf_index: 3, duplicate_of: 'a' }], size: 5 });
  });

  it('leaves a place open for a message that the cut leaves out', () => {
    const plan = planBatch(snapshot({ base: 3, placed: [placed(5, 12, 'c', 1)] }), [incoming(10, event('a'))]);
    expect(plan).toMatchObject({ voids: [], size: 4, records: [{ leaf_index: 3 }] });
  });
});

describe('reading', () => {
  const message = { offset: '7', key: null, value: Buffer.from('raw'), headers: {}, timestamp: '0' };
  it('makes dead letters of what is no event, by its code', () => {
    const limits = { maxBytes: 100, maxDepth: 64 };
    const code = (more: object) => {
      const read = readMessage({ ...message, ...more }, limits);
      return 'fault' in read ? read.fault.code : 'event';
    };
    expect(code({})).toBe('invalid_json');
    expect(code({ codecFault: 'lz4: broken' })).toBe('unsupported_codec');
    expect(code({ value: Buffer.alloc(101, 'x') })).toBe('too_large');
    expect(code({ value: Buffer.from([0xff]) })).toBe('invalid_utf8');
    expect(code({ value: null })).toBe('invalid_json');
  });
});

describe('keys', () => {
  it('are the value, or a hash that no value can pose as', () => {
    expect(indexKey('u-1')).toBe('u-1');
    expect(indexKey('x'.repeat(201))).toMatch(/^#[0-9a-f]{64}$/);
    expect(indexKey(indexKey('x'.repeat(201)))).not.toBe(indexKey('x'.repeat(201)));
  });

  it('differ by company, type and id, however these are cut', () => {
    const keys = [
      entityKey(null, 'a', 'b'),
      entityKey('a', 'a', 'b'),
      entityKey('', 'a', 'b'),
      entityKey(null, 'ab', ''),
      entityKey(null, 'a","', 'b'),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
});
