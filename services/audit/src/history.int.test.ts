import { type JsonValue, mergePatch, parseJson } from '@biz/json';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contextOf } from './testing/harness.ts';
import { at, auditorA, card, dpoB, type HistoryHarness, historyHarness, platform, refusal } from './testing/history.ts';

let history: HistoryHarness;
beforeAll(async () => {
  history = await historyHarness();
});
afterAll(() => history?.[Symbol.asyncDispose]());

describe('the state of an entity of a producer that seals nothing', () => {
  const steps: [string, string][] = [
    ['created', '{"id":9007199254740993,"limit":1.0,"$where":"x","door":{"sealed":"yes"},"a.b":{"c":1},"__proto__":{"z":1}}'],
    ['changed', '{"limit":12345678901234567890.10,"a.b":{"c":null,"d":[1,null]}}'],
    ['blocked', '{"reason":"lost"}'],
    ['activated', '{"reason":null}'],
    ['deleted', '{"by":"u-7"}'],
    ['created', '{"limit":5}'],
  ];
  beforeAll(() => history.record(card('c-1', steps)));

  it('is the merge of all payloads up to a version, digit for digit', async () => {
    let expected: JsonValue = {};
    for (const [index, [verb, payload]] of steps.entries()) {
      if (index === 5) expected = {};
      expected = mergePatch(expected, parseJson(payload));
      const found = await history.stateOf('c-1', { version: index + 1 });
      expect(found.state).toBe(JSON.stringify(expected));
      expect(found).toMatchObject({ version: index + 1, as_of: at(index), action_at: at(index), company_id: 'company-a' });
      expect([found.is_active ?? false, found.deleted ?? false]).toEqual([!['blocked', 'deleted'].includes(verb), verb === 'deleted']);
      expect(found.unknown).toBeUndefined();
    }
    expect('z' in {}).toBe(false);
  });

  it('is the newest one when nothing else is asked for', async () => {
    expect(await history.stateOf('c-1')).toMatchObject({ version: 6, state: '{"limit":5}', action_type: 'new', is_active: true });
  });

  it('at a time is that of the last version by then', async () => {
    expect(await history.stateOf('c-1', { at: at(2) })).toMatchObject({ version: 3, as_of: at(2), action_at: at(2) });
    const later = '2026-11-20T06:02:59.999-03:00';
    expect(await history.stateOf('c-1', { at: later })).toMatchObject({
      version: 3,
      as_of: new Date(later).toISOString(),
      action_at: at(2),
    });
    expect(await history.stateOf('c-1', { at: '2030-01-01T00:00:00Z' })).toMatchObject({ version: 6 });
    expect(await refusal(history.stateOf('c-1', { at: '2026-11-20T08:59:59Z' }))).toEqual({ code: 'not_found', paths: [] });
  });

  it('goes by order where clocks say something else, and tells', async () => {
    // The second clock is a day ahead, the fourth a day behind.
    await history.record(
      card('skewed', [
        ['created', '{"v":1}', 0],
        ['changed', '{"v":2}', 1440],
        ['changed', '{"v":3}', 2],
        ['changed', '{"v":4}', -1438],
        ['changed', '{"v":5}', 4],
      ]),
    );
    expect(await history.stateOf('skewed', { at: at(3) })).toMatchObject({ version: 4, state: '{"v":4}', clock_conflict: true });
    expect(await history.stateOf('skewed', { at: at(4) })).toMatchObject({ version: 5, state: '{"v":5}', clock_conflict: true });
    expect((await history.stateOf('skewed', { version: 1 })).clock_conflict ?? false).toBe(false);
    expect((await history.stateOf('skewed', { at: at(1440) })).clock_conflict ?? false).toBe(false);
  });

  it('is refused in a form that means nothing', async () => {
    expect(await refusal(history.stateOf('c-1', { at: at(0), version: 1 }))).toEqual({ code: 'invalid_request', paths: ['/version'] });
    expect(await refusal(history.stateOf('c-1', { at: 'yesterday' }))).toEqual({ code: 'invalid_request', paths: ['/at'] });
    expect((await refusal(history.stateOf('c-1', { version: 0 }))).code).toBe('invalid_request');
    expect((await refusal(history.stateOf('c-1', { version: 7 }))).code).toBe('not_found');
    expect((await refusal(history.stateOf('nobody'))).code).toBe('not_found');
    expect((await refusal(history.stateOf('c-1', {}, contextOf(['user'], ['company-a'])))).code).toBe('no_role');
  });

  it('is that of the caller’s company', async () => {
    await history.record(card('both', [['created', '{"of":"a"}']]));
    await history.record(card('both', [['created', '{"of":"b"}']], { company_id: 'company-b' }));
    await history.record(card('both', [['created', '{"of":"nobody"}']], { company_id: undefined }));
    expect((await history.stateOf('both')).state).toBe('{"of":"a"}');
    expect((await history.stateOf('both', {}, dpoB)).state).toBe('{"of":"b"}');
    for (const who of [platform, contextOf(['dpo'], ['company-a', 'company-b'])]) {
      expect((await refusal(history.stateOf('both', {}, who))).code).toBe('company_required');
      expect((await history.stateOf('both', { company_id: 'company-b' }, who)).state).toBe('{"of":"b"}');
      expect((await history.stateOf('c-1', {}, who)).version).toBe(6);
    }
    for (const more of [{}, { company_id: 'company-a' }])
      expect((await refusal(history.stateOf('c-1', more, dpoB))).code).toBe('not_found');
    expect((await refusal(history.diffOf('c-1', {}, dpoB))).code).toBe('not_found');
  });

  it('is closed to those who may not open its payloads, but not what happened to it', async () => {
    expect(await history.stateOf('c-1', { version: 4 }, auditorA)).toMatchObject({
      state: '{"sealed":true}',
      version: 4,
      is_active: true,
      unknown: { sealed_versions: [1, 2, 3, 4], sealed: 4 },
    });
  });

  it('that is too large for an answer is said to be', async () => {
    const text = 'x'.repeat(9_000);
    await history.record(
      card('large', [
        ['created', `{"a":"${text}"}`],
        ['changed', `{"b":"${text}"}`],
        ['changed', `{"c":"${text}"}`],
        ['changed', '{"a":null}'],
      ]),
    );
    expect((await history.stateOf('large', { version: 2 })).state).toHaveLength(18_015);
    expect((await refusal(history.stateOf('large', { version: 3 }))).code).toBe('too_large');
    expect((await history.stateOf('large')).version).toBe(4);
  });
});

describe('the difference of two versions', () => {
  it('names each field with what was before and after, in both directions', async () => {
    expect(await history.diffOf('c-1', { from: 1, to: 2 })).toMatchObject({
      from: 1,
      to: 2,
      changes: [
        { op: 'remove', path: '/a.b/c', before: '1' },
        { op: 'add', path: '/a.b/d', after: '[1,null]' },
        { op: 'replace', path: '/limit', before: '1.0', after: '12345678901234567890.10' },
      ],
    });
    expect(
      (await history.diffOf('c-1', { from: 2, to: 1 })).changes?.map(({ op, path, before, after }) => [op, path, before, after]),
    ).toEqual([
      ['add', '/a.b/c', undefined, '1'],
      ['remove', '/a.b/d', '[1,null]', undefined],
      ['replace', '/limit', '12345678901234567890.10', '1.0'],
    ]);
    expect((await history.diffOf('c-1', { from: 3, to: 3 })).changes ?? []).toEqual([]);
  });

  it('is that of the last change when nothing else is asked for, and begins from nothing at 0', async () => {
    expect(await history.diffOf('c-1', { to: 3 })).toMatchObject({
      from: 2,
      to: 3,
      changes: [{ op: 'add', path: '/reason', after: '"lost"' }],
    });
    expect(await history.diffOf('c-1')).toMatchObject({ from: 5, to: 6 });
    expect((await history.diffOf('c-1', { from: 0, to: 1 })).changes).toEqual([
      { op: 'add', path: '', after: (await history.stateOf('c-1', { version: 1 })).state },
    ]);
    expect((await refusal(history.diffOf('c-1', { from: 1, to: 7 }))).code).toBe('not_found');
    expect((await refusal(history.diffOf('c-1', { from: -1, to: 2 }))).code).toBe('invalid_request');
  });

  it('of closed states is that there is one', async () => {
    const closed = '{"sealed":true}';
    expect(await history.diffOf('c-1', { from: 1, to: 3 }, auditorA)).toMatchObject({
      changes: [{ op: 'replace', path: '', before: closed, after: closed }],
      unknown: { sealed: 3 },
    });
    expect((await history.diffOf('c-1', { from: 2, to: 2 }, auditorA)).changes ?? []).toEqual([]);
    expect((await history.diffOf('c-1', { from: 0, to: 1 }, auditorA)).changes).toEqual([{ op: 'add', path: '', after: closed }]);
  });
});
