import { describe, expect, test } from 'vitest';
import { evolve } from './fold.ts';
import { assertUpcasts, isOutdated, outdatedVersions, schemaVersionOf, UnreadableEvent, upcast } from './schema.ts';
import { draft, upcastThings } from './testing.ts';
import type { EntityRules, EventDocument } from './types.ts';

const rules: EntityRules = upcastThings.thing ?? {};

function event(schema_version: string, data: EventDocument['data'], type = 'thing.created'): EventDocument {
  const { meta } = draft('created', {});
  const name = { _id: 'e1', stream_id: 'thing:t1', version: 1, type, schema_version };
  const frozen = Object.freeze(structuredClone(data));
  return {
    ...name,
    data: frozen,
    at: '2026-11-21T12:00:00.000Z',
    meta: { entity_type: 'thing', entity_id: 't1', ...meta },
    published_at: null,
  };
}

describe('an event is read', () => {
  test.each([
    ['of the first version: every step is taken', '1.0', { label: 'x' }, { name: 'x', tags: [] }],
    ['written without a minor version', '1', { label: 'x' }, { name: 'x', tags: [] }],
    ['of a version in between: the later steps alone', '1.1', { name: 'x' }, { name: 'x', tags: [] }],
    ['of today: as it is', '1.2', { name: 'x' }, { name: 'x' }],
    ['of a later minor version: as it is, with what is not known here', '1.9', { name: 'x', colour: 'red' }, { name: 'x', colour: 'red' }],
  ])('%s', (_, version, stored, read) => {
    const given = event(version, stored);
    expect(upcast(rules, given).data).toEqual(read);
    expect(given.data).toEqual(stored);
  });

  test("of a type without a step: its data is the same, its version today's", () => {
    expect(upcast(rules, event('1.0', { label: 'x' }, 'thing.deleted'))).toMatchObject({ data: { label: 'x' }, schema_version: '1.2' });
  });

  test.each(['2.0', '10.1', 'x', '', '1.x'])('not at all when of version "%s"', (version) => {
    expect(() => upcast(rules, event(version, {}))).toThrow(UnreadableEvent);
    expect(() => evolve(upcastThings, undefined, event(version, {}))).toThrow(/Event 1 of thing:t1 .* reads up to 1\.2.*later release/);
    expect(() => upcast(undefined, event(version, {}))).toThrow(/reads up to 1\.0/);
  });
});

test('a fold says up to which upcast its events were read, and nothing while there is none', () => {
  const given = event('1.0', { label: 'x' });
  expect(evolve(upcastThings, undefined, given)).toMatchObject({ state: { name: 'x', tags: [] }, schema_version: '1.2' });
  expect(evolve({}, undefined, given)).not.toHaveProperty('schema_version');
  expect([schemaVersionOf(undefined), schemaVersionOf({}), schemaVersionOf(rules)]).toEqual(['1.0', '1.0', '1.2']);
});

test('a fold is outdated when it was made with fewer upcasts', () => {
  const outdated = [undefined, '1.1', '1.2', '1.10'].map((version) => isOutdated(rules, version ? { schema_version: version } : {}));
  expect(outdated).toEqual([true, true, false, false]);
  expect(isOutdated(undefined, {})).toBe(false);
  expect([outdatedVersions(rules), outdatedVersions({})]).toEqual([[null, '1.1'], []]);
});

test.each([
  ['a later major', ['2.0']],
  ['a version left out', ['1.1', '1.3']],
  ['a version twice', ['1.1', '1.1']],
])('%s is refused at start', (_, versions) => {
  expect(() => assertUpcasts('thing', { upcasts: versions.map((to) => ({ to, events: {} })) })).toThrow(/^thing: upcast \d leads to/);
});
