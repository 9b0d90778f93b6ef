import type { ActionType } from '@biz/envelope';
import { canonicalJson, type JsonObject, type JsonValue, mergePatch, parseJson } from '@biz/json';
import { seeded } from '@biz/testing';
import { describe, expect, it } from 'vitest';
import type { Folded, Step } from './fold.ts';
import { foldAt, type Mark } from './replay.ts';
import type { Source } from './source.ts';

const MAX = 10_000_000;

interface Made {
  version: number;
  entity_version: number | null;
  action_type: ActionType;
  action_at: Date;
  payload: string;
}

function stepOf({ payload, ...made }: Made): Step {
  return { ...made, record_id: `r-${made.version}`, patch: parseJson(payload) as JsonObject, size: payload.length, ownership_id: 'own-1' };
}

/** Records in memory, in batches of a size, and how often they were read. */
function sourceOf(records: readonly Made[], batch = 3) {
  const read = { steps: 0, outlines: 0, fetched: 0 };
  const batches = function* (after: number, upTo: number) {
    const wanted = records.filter(({ version }) => version > after && version <= upTo);
    for (let from = 0; from < wanted.length; from += batch) yield wanted.slice(from, from + batch).map(stepOf);
  };
  const source: Source = {
    steps: async function* (upTo) {
      read.steps += 1;
      yield* batches(0, upTo);
    },
    outlines: async function* (after, upTo) {
      read.outlines += upTo - after;
      yield* batches(after, upTo);
    },
    fetch: async (ids) => {
      read.fetched += ids.length;
      return ids.flatMap((id) => records.filter(({ version }) => `r-${version}` === id).map(stepOf));
    },
  };
  return { source, read };
}

/** The definition, without any of the ways in which it is made quick. */
function naive(records: readonly Made[], { version, at }: Mark): { state: JsonValue; deleted: boolean; active: boolean; last: string } {
  const known = records.filter((one) => one.version <= version);
  const own = known.every(({ entity_version }) => entity_version !== null);
  const sorted = known.toSorted(
    (one, other) => (own ? Number(one.entity_version) - Number(other.entity_version) : 0) || one.version - other.version,
  );
  const end = at === undefined ? sorted.length : sorted.findLastIndex(({ action_at }) => action_at <= at) + 1;
  let [state, deleted, active, last]: [JsonValue, boolean, boolean, string] = [{}, false, true, ''];
  for (const one of sorted.slice(0, end)) {
    if (deleted && one.action_type === 'new') state = {};
    state = mergePatch(state, parseJson(one.payload));
    if (one.action_type === 'delete') deleted = true;
    if (one.action_type === 'new' || one.action_type === 'enable') deleted = false;
    if (one.action_type !== 'update') active = one.action_type === 'new' || one.action_type === 'enable';
    last = `r-${one.version}`;
  }
  return { state, deleted, active, last };
}

const told = ({ state, deleted, active, last }: Folded) => ({ state: canonicalJson(state), deleted, active, last: last?.record_id });
const expected = (records: readonly Made[], mark: Mark) => {
  const { state, ...rest } = naive(records, mark);
  return { ...rest, state: canonicalJson(state) };
};

const made = (entityVersions: readonly (number | null)[]): Made[] =>
  entityVersions.map((entity_version, index) => ({
    version: index + 1,
    entity_version,
    action_type: index === 0 ? 'new' : 'update',
    action_at: new Date((entity_version ?? index + 1) * 60_000),
    payload: `{"v${entity_version ?? 'x'}":${index},"last":${entity_version ?? index + 1}}`,
  }));
const at = (minute: number) => new Date(minute * 60_000);

describe('a history', () => {
  it('in order is read once, for one state and for two', async () => {
    for (const records of [made([1, 2, 3, 4, 5]), made([null, null, null, null, null]), made([1, 3, null, 2, 9])]) {
      const { source, read } = sourceOf(records);
      const [first, second] = await foldAt(source, [{ version: 2 }, { version: 5 }], MAX);
      expect([first, second].map((one) => told(one as Folded))).toEqual([2, 5].map((version) => expected(records, { version })));
      expect(read).toEqual({ steps: 1, outlines: 0, fetched: 0 });
    }
  });

  it('with a message that was lost and came late is folded where it belongs', async () => {
    const { source, read } = sourceOf(made([1, 2, 4, 5, 3]));
    const [before, whole] = await foldAt(source, [{ version: 4 }, { version: 5 }], MAX);
    expect(before?.state).toEqual({ v1: 0, v2: 1, v4: 2, v5: 3, last: 5 });
    expect([before?.missing, before?.version]).toEqual([1, 4]);
    expect(whole?.state).toEqual({ v1: 0, v2: 1, v3: 4, v4: 2, v5: 3, last: 5 });
    expect([whole?.missing, whole?.version, whole?.last?.record_id]).toEqual([0, 5, 'r-4']);
    // The pass that found it went on to the end for the order; then one for the fold.
    expect(read).toEqual({ steps: 2, outlines: 0, fetched: 1 });
    const longer = sourceOf(made([1, 2, 4, 5, 3, 6, 7, 8]));
    expect((await foldAt(longer.source, [{ version: 8 }], MAX))[0]?.state).toMatchObject({ v8: 7, last: 8 });
    expect(longer.read).toEqual({ steps: 2, outlines: 3, fetched: 1 });
  });

  it('at a time ends with the last that happened by then, and has all before it', async () => {
    const late = sourceOf(made([1, 2, 4, 5, 3])).source;
    const stateAt = async (minute: number, version: number) => (await foldAt(late, [{ version, at: at(minute) }], MAX))[0]?.state;
    expect(await stateAt(3, 5)).toEqual({ v1: 0, v2: 1, v3: 4, last: 3 });
    expect(await stateAt(4, 5)).toEqual({ v1: 0, v2: 1, v3: 4, v4: 2, last: 4 });
    expect(await stateAt(2, 2)).toEqual({ v1: 0, v2: 1, last: 2 });
  });

  it('before the first version is nothing', async () => {
    const [none, one] = await foldAt(sourceOf(made([1, 2])).source, [{ version: 0 }, { version: 1 }], MAX);
    expect([none?.last, none?.state, one?.state]).toEqual([null, {}, { v1: 0, last: 1 }]);
    expect((await foldAt(sourceOf(made([1])).source, [{ version: 0 }, { version: 0 }], MAX)).map(({ last }) => last)).toEqual([null, null]);
  });

  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  it(`is what its definition says, at every version and time, in whatever order it came (SEED=${seed})`, async () => {
    const random = seeded(seed);
    for (let run = 0; run < 60; run += 1) {
      const records = randomRecords(random, 1 + Math.floor(random() * 25));
      const { source } = sourceOf(records, 1 + Math.floor(random() * 6));
      for (const { version, action_at } of records) {
        const other = 1 + Math.floor(random() * records.length);
        const marks = [version, other].sort((one, two) => one - two).map((each) => ({ version: each }));
        const states = await foldAt(source, marks, MAX);
        const names = `SEED=${seed} run ${run}, versions ${marks.map((mark) => mark.version).join(', ')}`;
        expect(states.map(told), names).toEqual(marks.map((mark) => expected(records, mark)));
        const upTo = records.findLast((one) => one.action_at <= action_at)?.version ?? 0;
        const [then] = await foldAt(source, [{ version: upTo, at: action_at }], MAX);
        expect(told(then as Folded), `SEED=${seed} run ${run}, at ${action_at.toISOString()}`).toEqual(
          expected(records, { version: upTo, at: action_at }),
        );
      }
    }
  });
});

const payloads = [
  '{"a":1}',
  '{"a":null,"b":{"c":9007199254740993}}',
  '{"b":{"c":null,"d":[1,{"e":null}]}}',
  '{"__proto__":{"x":1.0}}',
  '{"__proto__":null,"a.b":"$where"}',
  '{"b":"text"}',
  '{"b":{"a":{"sealed":"s1.a.b.c"}}}',
  '{}',
];

/** Own or foreign, some messages late, some versions lost or used twice, clocks that jump. */
function randomRecords(random: () => number, count: number): Made[] {
  const below = (limit: number) => Math.floor(random() * limit);
  const [own, mixed] = [random() < 0.7, random() < 0.2];
  const versions = Array.from({ length: count }, (_, index) => index + 1 + (random() < 0.1 ? 1 : 0));
  for (let late = own ? below(5) : 0; late > 0; late -= 1) {
    const [moved = 1] = versions.splice(below(versions.length), 1);
    versions.splice(below(versions.length + 1), 0, moved);
  }
  const actions: ActionType[] = ['update', 'update', 'update', 'new', 'delete', 'disable', 'enable'];
  return versions.map((entityVersion, index) => ({
    version: index + 1,
    entity_version: own && !(mixed && random() < 0.1) ? entityVersion : null,
    action_type: index === 0 ? 'new' : (actions[below(actions.length)] as ActionType),
    action_at: at(entityVersion + (random() < 0.1 ? below(40) - 20 : 0)),
    payload: payloads[below(payloads.length)] as string,
  }));
}
