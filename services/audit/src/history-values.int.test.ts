import { canonicalJson, type JsonValue, mergePatch, parseJson } from '@biz/json';
import { seeded } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contextOf } from './testing/harness.ts';
import {
  at,
  auditorA,
  card,
  dpoA,
  dpoB,
  type Found,
  type HistoryHarness,
  historyHarness,
  name,
  platform,
  refusal,
} from './testing/history.ts';

let history: HistoryHarness;
beforeAll(async () => {
  history = await historyHarness();
});
afterAll(() => history?.[Symbol.asyncDispose]());

describe('a search for values', () => {
  const versions = ({ items = [] }: Found) => items.map(({ version }) => version);

  beforeAll(() =>
    history.record(
      card(
        'values',
        Array.from({ length: 20 }, (_, index) => [
          'changed',
          `{"n":${index % 5},"text":"${index % 2}","deep":{"a/b":[${index}.0]},"gone":${index === 9 ? 'null' : 1}}`,
        ]),
      ),
    ),
  );

  it('goes on page by page, each of which looks at so many records', async () => {
    const seen: number[] = [];
    const pages: number[] = [];
    for (let page_token: string | undefined = ''; page_token !== undefined; ) {
      const page: Found = await history.find({
        path: '/n',
        value: '3',
        order: 'asc',
        page_size: 1,
        ...name('values'),
        ...(page_token && { page_token }),
      });
      expect(page.searched).toBeLessThanOrEqual(7);
      seen.push(...versions(page));
      pages.push(versions(page).length);
      page_token = page.next_page_token || undefined;
    }
    expect(seen).toEqual([4, 9, 14, 19]);
    expect(Math.max(...pages)).toBe(1);
    const [first, wide] = [
      await history.find({ path: '/n', value: '0', ...name('values') }),
      await history.find({ path: '/n', value: '0', page_size: 200, ...name('values') }),
    ];
    expect([versions(first), first.searched, versions(wide)]).toEqual([[16], 7, [16]]);
  });

  it.each([
    ['/n', '4', [20, 15]],
    ['/n', '"4"', []],
    ['/n', '4.0', []],
    ['/text', '1', [20, 18, 16, 14]],
    ['/text', '"1"', [20, 18, 16, 14]],
    ['/deep/a~1b/0', '19.0', [20]],
    ['/deep/a~1b', '[19.0]', [20]],
    ['/deep', '{"a/b":[19.0]}', [20]],
    ['/nothing', undefined, []],
    ['/__proto__', undefined, []],
    ['/n', undefined, [20, 19, 18, 17, 16, 15, 14]],
  ])('of %s for %s finds %j', async (path, value, expected) => {
    expect(versions(await history.find({ path, ...(value !== undefined && { value }), ...name('values') }))).toEqual(expected);
  });

  it('finds what cleared a field, by time and across entities', async () => {
    const found = await history.find({ path: '/gone', value: 'null', from: at(5), to: at(10), entity_type: 'card' });
    expect(found.items?.map(({ entity_id, version }) => [entity_id, version])).toEqual([['values', 10]]);
    expect(await history.find({ path: '/gone', value: 'null', from: at(5), to: at(10), entity_type: 'card' }, dpoB)).toMatchObject({});
    expect((await history.find({ path: '/gone', value: 'null', from: at(5), to: at(10) }, dpoB)).items ?? []).toEqual([]);
  });

  it('is for those only who may open payloads, and for a path', async () => {
    for (const who of [auditorA, contextOf(['admin'], ['company-a'])])
      expect((await refusal(history.find({ path: '/n' }, who))).code).toBe('no_role');
    expect(await refusal(history.find({ path: 'n' }))).toEqual({ code: 'invalid_request', paths: ['/path'] });
    expect(await refusal(history.find({}))).toEqual({ code: 'invalid_request', paths: ['/path'] });
    const { next_page_token: page_token } = await history.find({ path: '/n', value: '3', page_size: 1, ...name('values') });
    expect((await refusal(history.find({ path: '/n', value: '4', page_size: 1, page_token, ...name('values') }))).paths).toEqual([
      '/page_token',
    ]);
  });
});
interface Item {
  record_id: string;
  version: number;
  payload: string;
}

async function everyPage(method: string, request: object, who = dpoA): Promise<Item[]> {
  const items: Item[] = [];
  for (let page_token: string | undefined = ''; page_token !== undefined; ) {
    const page: { items?: Item[]; next_page_token?: string } = await history.call(
      method,
      { ...request, ...(page_token && { page_token }) },
      who,
    );
    items.push(...(page.items ?? []));
    page_token = page.next_page_token || undefined;
  }
  return items;
}

describe('a history of many versions', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

  it(`gives at every version what a naive fold gives, and the history has every record (SEED=${seed})`, async () => {
    const random = seeded(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const value = () =>
      ['1', 'null', '1.50', '"x"', '{"a":null,"b":9007199254740993}', '{"b":null}', '[1,{"n":null}]', '{"__proto__":{"q":1}}'][below(8)];
    const verbs = ['changed', 'changed', 'changed', 'created', 'deleted', 'blocked', 'activated'];
    const steps = Array.from({ length: 40 }, (_, index): [string, string] => [
      index === 0 ? 'created' : (verbs[below(verbs.length)] as string),
      `{"${['a', 'b', '__proto__', '$x'][below(4)]}":${value()},"k${below(3)}":${value()}}`,
    ]);
    await history.record(card('many', steps));
    let [state, deleted]: [JsonValue, boolean] = [{}, false];
    const states: JsonValue[] = [];
    for (const [verb, payload] of steps) {
      if (deleted && verb === 'created') state = {};
      deleted = verb === 'deleted' || (deleted && !['created', 'activated'].includes(verb));
      state = mergePatch(state, parseJson(payload));
      states.push(state);
    }
    const found = await Promise.all(states.map((_, index) => history.stateOf('many', { version: index + 1 })));
    for (const [index, expected] of states.entries()) {
      expect(canonicalJson(parseJson(String(found[index]?.state))), `SEED=${seed} version ${index + 1}`).toBe(canonicalJson(expected));
    }
    const whole = await everyPage('GetEntityHistory', { ...name('many'), page_size: 7 });
    expect(whole.map(({ version, payload }) => [version, payload])).toEqual(steps.map(([, payload], index) => [index + 1, payload]));
    const backwards = await everyPage('GetEntityHistory', { ...name('many'), page_size: 7, order: 'desc' });
    expect(backwards).toEqual(whole.toReversed());
    for (const verb of ['deleted', 'changed']) {
      const some = await everyPage('ListRecords', { ...name('many'), event_type: `card.${verb}`, page_size: 2, order: 'asc' });
      expect(some.map(({ version }) => version)).toEqual(steps.flatMap(([each], index) => (each === verb ? [index + 1] : [])));
    }
  });

  it('comes in pages also where several companies have the id, and from any place', async () => {
    for (const company_id of ['company-a', 'company-b', undefined]) await history.record(card('both', [['created', '{}']], { company_id }));
    for (const order of ['asc', 'desc']) {
      const one = await everyPage('GetEntityHistory', { ...name('both'), page_size: 1, order }, platform);
      const all = await everyPage('ListRecords', { entity_id: 'both', page_size: 200, order }, platform);
      expect(one.map(({ record_id }) => record_id)).toEqual(all.map(({ record_id }) => record_id));
      expect(new Set(one.map(({ record_id }) => record_id)).size).toBe(3);
    }
    const { next_page_token = '' } = await history.call<{ next_page_token?: string }>(
      'GetEntityHistory',
      { ...name('many'), page_size: 1 },
      dpoA,
    );
    const [key, , binding] = JSON.parse(Buffer.from(next_page_token, 'base64url').toString()) as [string, number, string];
    for (const [version, count] of [
      [-5, 3],
      [39, 1],
      [40, 0],
      [8e15, 0],
    ]) {
      const page_token = Buffer.from(JSON.stringify([key, version, binding])).toString('base64url');
      const { items = [] } = await history.call<{ items?: object[] }>(
        'GetEntityHistory',
        { ...name('many'), page_size: 3, page_token },
        dpoA,
      );
      expect(items).toHaveLength(Number(count));
    }
  });

  it('is recorded as read, with how many records and whose', async () => {
    await history.stateOf('values', { version: 3 });
    const reads = await history.audit.database.db.collection('events').find({ type: 'audit.read' }).sort({ _id: -1 }).limit(1).toArray();
    expect(reads[0]?.data).toMatchObject({ rpc: 'biz.audit.v1.HistoryService/GetEntityState', count: 3, ownership_ids: ['own-1'] });
    await history.call('FindValues', { path: '/secret', value: 'Zuleica', ...name('values') }, dpoA);
    const texts = JSON.stringify(await history.audit.database.db.collection('events').find().toArray());
    expect([texts.includes('Zuleica'), texts.includes('/secret')]).toEqual([false, true]);
  });
});
