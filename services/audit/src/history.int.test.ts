import { randomUUID } from 'node:crypto';
import { type EventSource, envelopeOf } from '@biz/envelope';
import { AppError } from '@biz/errors';
import { type CurrentDocument, type EventDocument, evolve } from '@biz/eventstore';
import { canonicalJson, type JsonObject, type JsonValue, mergePatch, parseJson } from '@biz/json';
import { createKeyring, type Keyring, openFields, readKek, sealFields } from '@biz/sealing';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

interface State {
  version: number;
  is_active?: boolean;
  deleted?: boolean;
  as_of: string;
  state: string;
  record_id: string;
  action_type: string;
  action_at: string;
  unknown?: { sealed_versions?: number[]; sealed?: number; erased_versions?: number[]; erased?: number; missing?: number };
  clock_conflict?: boolean;
  company_id?: string;
}
interface Diff {
  from?: number;
  to: number;
  changes?: { op: string; path: string; before?: string; after?: string }[];
  unknown?: State['unknown'];
}
interface Found {
  items?: { record_id: string; entity_id: string; version: number; value: string }[];
  next_page_token?: string;
  searched?: number;
  unreadable?: number;
}

let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;
let keyring: Keyring;
const auditorA = contextOf(['auditor'], ['company-a']);
const dpoA = contextOf(['dpo'], ['company-a']);
const dpoB = contextOf(['dpo'], ['company-b']);
const platform = contextOf(['auditor', 'dpo'], ['*']);
const at = (minute: number) => new Date(Date.UTC(2026, 10, 20, 9, minute)).toISOString();

beforeAll(async () => {
  audit = await auditHarness();
  keyring = createKeyring({ database: audit.keyring.db, kek: await readKek({ value: String(audit.env.KEK) }) });
  call = audit.client((await audit.start({}, { FIND_VALUES_RECORDS: '7', HISTORY_BATCH: '3', HISTORY_ANSWER_BYTES: '20000' })).address);
});
afterAll(() => audit[Symbol.asyncDispose]());

/** Sends messages and waits until they are records; reads are events on the same topic, in between. */
async function record(messages: Parameters<AuditHarness['send']>[0]): Promise<void> {
  const last = (await audit.send(messages)).at(-1)?.offset ?? -1;
  await until(async () => ((await audit.collections.logs.findOne({ _id: `${audit.topic}-0` }))?.next_offset ?? 0) > last, {
    what: 'the records',
    timeoutMs: 30_000,
  });
}

/** Records of a producer that seals nothing: verbs and payloads (as JSON text), a minute between them. */
function card(id: string, parts: readonly [verb: string, payload: string, minute?: number][], metadata: Record<string, unknown> = {}) {
  return parts.map(([verb, payload, minute], index) => {
    const timestamp = at(minute ?? index);
    const text = JSON.stringify(
      envelope({
        event_type: `card.${verb}`,
        timestamp,
        payload: { p: 0 },
        metadata: { company_id: 'company-a', entity_id: id, ...metadata },
      }),
    );
    return { value: text.replace('{"p":0}', payload) };
  });
}

const name = (entity_id: string, entity_type = 'card') => ({ entity_type, entity_id });
const stateOf = (entity_id: string, more: object = {}, who = dpoA) => call<State>('GetEntityState', { ...name(entity_id), ...more }, who);
const diffOf = (entity_id: string, more: object = {}, who = dpoA) => call<Diff>('GetEntityDiff', { ...name(entity_id), ...more }, who);

async function refusal(run: Promise<unknown>): Promise<{ code: string; paths: string[] }> {
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error('not refused', { cause: error });
  return { code: error.code, paths: error.faults.map(({ path }) => path) };
}

describe('the state of an entity of a producer that seals nothing', () => {
  const steps: [string, string][] = [
    ['created', '{"id":9007199254740993,"limit":1.0,"$where":"x","door":{"sealed":"yes"},"a.b":{"c":1},"__proto__":{"z":1}}'],
    ['changed', '{"limit":12345678901234567890.10,"a.b":{"c":null,"d":[1,null]}}'],
    ['blocked', '{"reason":"lost"}'],
    ['activated', '{"reason":null}'],
    ['deleted', '{"by":"u-7"}'],
    ['created', '{"limit":5}'],
  ];
  beforeAll(() => record(card('c-1', steps)));

  it('is the merge of all payloads up to a version, digit for digit', async () => {
    let expected: JsonValue = {};
    for (const [index, [verb, payload]] of steps.entries()) {
      if (index === 5) expected = {};
      expected = mergePatch(expected, parseJson(payload));
      const found = await stateOf('c-1', { version: index + 1 });
      expect(found.state).toBe(JSON.stringify(expected));
      expect(found).toMatchObject({ version: index + 1, as_of: at(index), action_at: at(index), company_id: 'company-a' });
      expect([found.is_active ?? false, found.deleted ?? false]).toEqual([!['blocked', 'deleted'].includes(verb), verb === 'deleted']);
      expect(found.unknown).toBeUndefined();
    }
    expect('z' in {}).toBe(false);
  });

  it('is the newest one when nothing else is asked for', async () => {
    expect(await stateOf('c-1')).toMatchObject({ version: 6, state: '{"limit":5}', action_type: 'new', is_active: true });
  });

  it('at a time is that of the last version by then', async () => {
    expect(await stateOf('c-1', { at: at(2) })).toMatchObject({ version: 3, as_of: at(2), action_at: at(2) });
    const later = '2026-11-20T06:02:59.999-03:00';
    expect(await stateOf('c-1', { at: later })).toMatchObject({ version: 3, as_of: new Date(later).toISOString(), action_at: at(2) });
    expect(await stateOf('c-1', { at: '2030-01-01T00:00:00Z' })).toMatchObject({ version: 6 });
    expect(await refusal(stateOf('c-1', { at: '2026-11-20T08:59:59Z' }))).toEqual({ code: 'not_found', paths: [] });
  });

  it('goes by order where clocks say something else, and tells', async () => {
    // The second clock is a day ahead, the fourth a day behind.
    await record(
      card('skewed', [
        ['created', '{"v":1}', 0],
        ['changed', '{"v":2}', 1440],
        ['changed', '{"v":3}', 2],
        ['changed', '{"v":4}', -1438],
        ['changed', '{"v":5}', 4],
      ]),
    );
    expect(await stateOf('skewed', { at: at(3) })).toMatchObject({ version: 4, state: '{"v":4}', clock_conflict: true });
    expect(await stateOf('skewed', { at: at(4) })).toMatchObject({ version: 5, state: '{"v":5}', clock_conflict: true });
    expect((await stateOf('skewed', { version: 1 })).clock_conflict ?? false).toBe(false);
    expect((await stateOf('skewed', { at: at(1440) })).clock_conflict ?? false).toBe(false);
  });

  it('is refused in a form that means nothing', async () => {
    expect(await refusal(stateOf('c-1', { at: at(0), version: 1 }))).toEqual({ code: 'invalid_request', paths: ['/version'] });
    expect(await refusal(stateOf('c-1', { at: 'yesterday' }))).toEqual({ code: 'invalid_request', paths: ['/at'] });
    expect((await refusal(stateOf('c-1', { version: 0 }))).code).toBe('invalid_request');
    expect((await refusal(stateOf('c-1', { version: 7 }))).code).toBe('not_found');
    expect((await refusal(stateOf('nobody'))).code).toBe('not_found');
    expect((await refusal(stateOf('c-1', {}, contextOf(['user'], ['company-a'])))).code).toBe('no_role');
  });

  it('is that of the caller’s company', async () => {
    await record(card('both', [['created', '{"of":"a"}']]));
    await record(card('both', [['created', '{"of":"b"}']], { company_id: 'company-b' }));
    await record(card('both', [['created', '{"of":"nobody"}']], { company_id: undefined }));
    expect((await stateOf('both')).state).toBe('{"of":"a"}');
    expect((await stateOf('both', {}, dpoB)).state).toBe('{"of":"b"}');
    for (const who of [platform, contextOf(['dpo'], ['company-a', 'company-b'])]) {
      expect((await refusal(stateOf('both', {}, who))).code).toBe('company_required');
      expect((await stateOf('both', { company_id: 'company-b' }, who)).state).toBe('{"of":"b"}');
      expect((await stateOf('c-1', {}, who)).version).toBe(6);
    }
    for (const more of [{}, { company_id: 'company-a' }]) expect((await refusal(stateOf('c-1', more, dpoB))).code).toBe('not_found');
    expect((await refusal(diffOf('c-1', {}, dpoB))).code).toBe('not_found');
  });

  it('is closed to those who may not open its payloads, but not what happened to it', async () => {
    expect(await stateOf('c-1', { version: 4 }, auditorA)).toMatchObject({
      state: '{"sealed":true}',
      version: 4,
      is_active: true,
      unknown: { sealed_versions: [1, 2, 3, 4], sealed: 4 },
    });
  });

  it('that is too large for an answer is said to be', async () => {
    const text = 'x'.repeat(9_000);
    await record(
      card('large', [
        ['created', `{"a":"${text}"}`],
        ['changed', `{"b":"${text}"}`],
        ['changed', `{"c":"${text}"}`],
        ['changed', '{"a":null}'],
      ]),
    );
    expect((await stateOf('large', { version: 2 })).state).toHaveLength(18_015);
    expect((await refusal(stateOf('large', { version: 3 }))).code).toBe('too_large');
    expect((await stateOf('large')).version).toBe(4);
  });
});

describe('the difference of two versions', () => {
  it('names each field with what was before and after, in both directions', async () => {
    expect(await diffOf('c-1', { from: 1, to: 2 })).toMatchObject({
      from: 1,
      to: 2,
      changes: [
        { op: 'remove', path: '/a.b/c', before: '1' },
        { op: 'add', path: '/a.b/d', after: '[1,null]' },
        { op: 'replace', path: '/limit', before: '1.0', after: '12345678901234567890.10' },
      ],
    });
    expect((await diffOf('c-1', { from: 2, to: 1 })).changes?.map(({ op, path, before, after }) => [op, path, before, after])).toEqual([
      ['add', '/a.b/c', undefined, '1'],
      ['remove', '/a.b/d', '[1,null]', undefined],
      ['replace', '/limit', '12345678901234567890.10', '1.0'],
    ]);
    expect((await diffOf('c-1', { from: 3, to: 3 })).changes ?? []).toEqual([]);
  });

  it('is that of the last change when nothing else is asked for, and begins from nothing at 0', async () => {
    expect(await diffOf('c-1', { to: 3 })).toMatchObject({ from: 2, to: 3, changes: [{ op: 'add', path: '/reason', after: '"lost"' }] });
    expect(await diffOf('c-1')).toMatchObject({ from: 5, to: 6 });
    expect((await diffOf('c-1', { from: 0, to: 1 })).changes).toEqual([
      { op: 'add', path: '', after: (await stateOf('c-1', { version: 1 })).state },
    ]);
    expect((await refusal(diffOf('c-1', { from: 1, to: 7 }))).code).toBe('not_found');
    expect((await refusal(diffOf('c-1', { from: -1, to: 2 }))).code).toBe('invalid_request');
  });

  it('of closed states is that there is one', async () => {
    const closed = '{"sealed":true}';
    expect(await diffOf('c-1', { from: 1, to: 3 }, auditorA)).toMatchObject({
      changes: [{ op: 'replace', path: '', before: closed, after: closed }],
      unknown: { sealed: 3 },
    });
    expect((await diffOf('c-1', { from: 2, to: 2 }, auditorA)).changes ?? []).toEqual([]);
    expect((await diffOf('c-1', { from: 0, to: 1 }, auditorA)).changes).toEqual([{ op: 'add', path: '', after: closed }]);
  });
});

describe('the state of an entity of our own services', () => {
  const events: EventDocument[] = [];
  const folds: CurrentDocument[] = [];
  const id = 'p-1';
  const person = (version: number, more: object = {}, who = dpoA) =>
    call<State>('GetEntityState', { ...name(id, 'person'), version, ...more }, who);
  const difference = (from: number, to: number, who = dpoA) => call<Diff>('GetEntityDiff', { ...name(id, 'person'), from, to }, who);

  /** Versions of a person whose name is sealed under the person's key, made and folded as a service does. */
  async function change(patch: JsonObject, owner = id): Promise<void> {
    const event_id = randomUUID();
    const fields = typeof patch.name === 'string' ? [{ path: '/name', ownership_id: owner }] : [];
    const [data = {}] = await sealFields(keyring, [{ company_id: 'company-a', event_id, data: patch, fields }]);
    const version = events.length + 1;
    const meta = {
      entity_type: 'person',
      entity_id: id,
      action_type: version === 1 ? ('new' as const) : ('update' as const),
      company_id: 'company-a',
      client_id: null,
      ownership_id: id,
      owner_id: 'u-7',
      owner_ip: '203.0.113.7',
      owner_role: 'admin',
      owner_type: 'user' as const,
      trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      environment: 'test',
    };
    const event: EventDocument = {
      _id: event_id,
      stream_id: `person:${id}`,
      version,
      type: 'person.changed',
      schema_version: '1.0',
      data,
      at: at(version),
      meta,
      published_at: null,
    };
    events.push(event);
    folds.push(evolve({}, folds.at(-1), event));
  }

  const messageOf = (event: EventSource) => envelopeOf(event, { service: 'person_service', instance: randomUUID() });
  const opened = async (fold: CurrentDocument | undefined) =>
    (await openFields(keyring, [{ company_id: 'company-a', data: fold?.state ?? {} }]))[0]?.data ?? {};

  beforeAll(async () => {
    await change({ id, name: 'Ana Lima', tags: { a: 1 } });
    await change({ name: 'Ana Souza', tags: { b: 2 } });
    await change({ note: 'lost on its way', tags: { a: null } });
    await change({ name: 'Ana Souza', note: 'later' });
    await change({ note: null, tags: { c: { d: 9 } }, name: 'Ana Reis' }, 'p-2');
    // The third is lost, and published again when the others are there.
    const [first, second, lost, ...rest] = events.map(messageOf);
    await record([first, second, ...rest, lost] as { value: string }[]);
  });

  it('is what the service itself folds, although a message came late', async () => {
    const whole = await person(5);
    expect(whole.state).toBe(JSON.stringify(await opened(folds.at(-1))));
    expect(JSON.parse(whole.state)).toEqual({ id, name: 'Ana Reis', tags: { b: 2, c: { d: 9 } } });
    expect([whole.unknown, whole.version]).toEqual([undefined, 5]);
    for (const version of [1, 2]) expect((await person(version)).state).toBe(JSON.stringify(await opened(folds[version - 1])));
    // Before it came the audit knew of a gap.
    expect(await person(4)).toMatchObject({ unknown: { missing: 1 } });
    expect(JSON.parse((await person(4)).state)).toEqual({ id, name: 'Ana Reis', tags: { a: 1, b: 2, c: { d: 9 } } });
  });

  it('at a time has what happened by then, in the order of the service', async () => {
    for (const version of [1, 2, 3, 4, 5]) {
      const then = await call<State>('GetEntityState', { ...name(id, 'person'), at: at(version) }, dpoA);
      expect(then.state, `version ${version}`).toBe(JSON.stringify(await opened(folds[version - 1])));
    }
  });

  it('shows its plain fields, and of the others that they are sealed, to those who may not open them', async () => {
    expect((await person(5, {}, auditorA)).state).toBe('{"id":"p-1","name":{"sealed":true},"tags":{"b":2,"c":{"d":9}}}');
    expect((await person(5, {}, auditorA)).unknown).toBeUndefined();
  });

  it('is compared by values by those who may open them, by ciphertext by all others', async () => {
    const closed = '{"sealed":true}';
    expect((await difference(1, 2)).changes).toEqual([
      { op: 'replace', path: '/name', before: '"Ana Lima"', after: '"Ana Souza"' },
      { op: 'add', path: '/tags/b', after: '2' },
    ]);
    expect((await difference(1, 2, auditorA)).changes?.[0]).toEqual({ op: 'replace', path: '/name', before: closed, after: closed });
    // Written anew with the same value: no change for the one, one for the other.
    expect((await difference(2, 3)).changes).toEqual([{ op: 'add', path: '/note', after: '"later"' }]);
    expect((await difference(2, 3, auditorA)).changes?.map(({ path }) => path)).toEqual(['/name', '/note']);
  });

  it('says of a field whose key was destroyed that it is gone, and of a payload as well', async () => {
    await record(
      card(
        'erased',
        [
          ['created', '{"a":1}'],
          ['changed', '{"b":2}'],
        ],
        { ownership_id: 'own-gone' },
      ),
    );
    await record(card('erased', [['changed', '{"c":3}']], { ownership_id: 'own-stays' }));
    await record(
      card(
        'gone',
        [
          ['created', '{"a":1}'],
          ['changed', '{"b":2}'],
        ],
        { ownership_id: 'own-gone' },
      ),
    );
    await audit.keyring.db
      .collection('data_keys')
      .updateMany({ ownership_id: { $in: ['p-2', 'own-gone'] } }, { $set: { state: 'erased', wrapped: null } });
    // This process may hold the keys for another minute; one that starts now does not.
    const other = audit.client((await audit.start({}, { CONSUMER_GROUP: `${audit.name}-2` })).address);
    const ask = <Answer extends object>(method: string, request: object) => other<Answer>(method, request, dpoA);
    expect((await ask<State>('GetEntityState', name(id, 'person'))).state).toBe(
      '{"id":"p-1","name":{"erased":true},"tags":{"b":2,"c":{"d":9}}}',
    );
    expect((await ask<Diff>('GetEntityDiff', { ...name(id, 'person'), from: 2, to: 5 })).changes?.[0]).toEqual({
      op: 'replace',
      path: '/name',
      before: '"Ana Souza"',
      after: '{"erased":true}',
    });
    expect(await ask<State>('GetEntityState', name('erased'))).toMatchObject({
      state: '{"c":3}',
      unknown: { erased_versions: [1, 2], erased: 2 },
    });
    expect(await ask<State>('GetEntityState', name('gone'))).toMatchObject({ state: '{"erased":true}', unknown: { erased: 2 } });
    expect((await ask<Diff>('GetEntityDiff', name('gone'))).changes).toEqual([
      { op: 'replace', path: '', before: '{"erased":true}', after: '{"erased":true}' },
    ]);
    const lost = await ask<Found>('FindValues', { path: '/a', ...name('gone') });
    expect([lost.items ?? [], lost.searched, lost.unreadable]).toEqual([[], 2, 2]);
    expect(await ask<Found>('FindValues', { path: '/name', ...name(id, 'person') })).toMatchObject({ items: { length: 3 }, unreadable: 1 });
  });

  it('finds who set a sealed field to a value', async () => {
    const found = await call<Found>('FindValues', { path: '/name', value: 'Ana Souza', ...name(id, 'person') }, dpoA);
    expect(found.items?.map(({ version, value }) => [version, value])).toEqual([
      [3, '"Ana Souza"'],
      [2, '"Ana Souza"'],
    ]);
  });
});

describe('a search for values', () => {
  const find = (request: object, who = dpoA) => call<Found>('FindValues', request, who);
  const versions = ({ items = [] }: Found) => items.map(({ version }) => version);

  beforeAll(() =>
    record(
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
      const page: Found = await find({
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
      await find({ path: '/n', value: '0', ...name('values') }),
      await find({ path: '/n', value: '0', page_size: 200, ...name('values') }),
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
    expect(versions(await find({ path, ...(value !== undefined && { value }), ...name('values') }))).toEqual(expected);
  });

  it('finds what cleared a field, by time and across entities', async () => {
    const found = await find({ path: '/gone', value: 'null', from: at(5), to: at(10), entity_type: 'card' });
    expect(found.items?.map(({ entity_id, version }) => [entity_id, version])).toEqual([['values', 10]]);
    expect(await find({ path: '/gone', value: 'null', from: at(5), to: at(10), entity_type: 'card' }, dpoB)).toMatchObject({});
    expect((await find({ path: '/gone', value: 'null', from: at(5), to: at(10) }, dpoB)).items ?? []).toEqual([]);
  });

  it('is for those only who may open payloads, and for a path', async () => {
    for (const who of [auditorA, contextOf(['admin'], ['company-a'])])
      expect((await refusal(find({ path: '/n' }, who))).code).toBe('no_role');
    expect(await refusal(find({ path: 'n' }))).toEqual({ code: 'invalid_request', paths: ['/path'] });
    expect(await refusal(find({}))).toEqual({ code: 'invalid_request', paths: ['/path'] });
    const { next_page_token: page_token } = await find({ path: '/n', value: '3', page_size: 1, ...name('values') });
    expect((await refusal(find({ path: '/n', value: '4', page_size: 1, page_token, ...name('values') }))).paths).toEqual(['/page_token']);
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
    const page: { items?: Item[]; next_page_token?: string } = await call(method, { ...request, ...(page_token && { page_token }) }, who);
    items.push(...(page.items ?? []));
    page_token = page.next_page_token || undefined;
  }
  return items;
}

describe('a history of many versions', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

  it(`gives at every version what a naive fold gives, and the history has every record (SEED=${seed})`, async () => {
    const random = randomOf(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const value = () =>
      ['1', 'null', '1.50', '"x"', '{"a":null,"b":9007199254740993}', '{"b":null}', '[1,{"n":null}]', '{"__proto__":{"q":1}}'][below(8)];
    const verbs = ['changed', 'changed', 'changed', 'created', 'deleted', 'blocked', 'activated'];
    const steps = Array.from({ length: 40 }, (_, index): [string, string] => [
      index === 0 ? 'created' : (verbs[below(verbs.length)] as string),
      `{"${['a', 'b', '__proto__', '$x'][below(4)]}":${value()},"k${below(3)}":${value()}}`,
    ]);
    await record(card('many', steps));
    let [state, deleted]: [JsonValue, boolean] = [{}, false];
    const states: JsonValue[] = [];
    for (const [verb, payload] of steps) {
      if (deleted && verb === 'created') state = {};
      deleted = verb === 'deleted' || (deleted && !['created', 'activated'].includes(verb));
      state = mergePatch(state, parseJson(payload));
      states.push(state);
    }
    const found = await Promise.all(states.map((_, index) => stateOf('many', { version: index + 1 })));
    for (const [index, expected] of states.entries()) {
      expect(canonicalJson(parseJson(String(found[index]?.state))), `SEED=${seed} version ${index + 1}`).toBe(canonicalJson(expected));
    }
    const history = await everyPage('GetEntityHistory', { ...name('many'), page_size: 7 });
    expect(history.map(({ version, payload }) => [version, payload])).toEqual(steps.map(([, payload], index) => [index + 1, payload]));
    const backwards = await everyPage('GetEntityHistory', { ...name('many'), page_size: 7, order: 'desc' });
    expect(backwards).toEqual(history.toReversed());
    for (const verb of ['deleted', 'changed']) {
      const some = await everyPage('ListRecords', { ...name('many'), event_type: `card.${verb}`, page_size: 2, order: 'asc' });
      expect(some.map(({ version }) => version)).toEqual(steps.flatMap(([each], index) => (each === verb ? [index + 1] : [])));
    }
  });

  it('comes in pages also where several companies have the id, and from any place', async () => {
    for (const order of ['asc', 'desc']) {
      const one = await everyPage('GetEntityHistory', { ...name('both'), page_size: 1, order }, platform);
      const all = await everyPage('ListRecords', { entity_id: 'both', page_size: 200, order }, platform);
      expect(one.map(({ record_id }) => record_id)).toEqual(all.map(({ record_id }) => record_id));
      expect(new Set(one.map(({ record_id }) => record_id)).size).toBe(3);
    }
    const { next_page_token = '' } = await call<{ next_page_token?: string }>('GetEntityHistory', { ...name('many'), page_size: 1 }, dpoA);
    const [key, , binding] = JSON.parse(Buffer.from(next_page_token, 'base64url').toString()) as [string, number, string];
    for (const [version, count] of [
      [-5, 3],
      [39, 1],
      [40, 0],
      [8e15, 0],
    ]) {
      const page_token = Buffer.from(JSON.stringify([key, version, binding])).toString('base64url');
      const { items = [] } = await call<{ items?: object[] }>('GetEntityHistory', { ...name('many'), page_size: 3, page_token }, dpoA);
      expect(items).toHaveLength(Number(count));
    }
  });

  it('is recorded as read, with how many records and whose', async () => {
    await stateOf('skewed', { version: 3 });
    const reads = await audit.database.db.collection('events').find({ type: 'audit.read' }).sort({ _id: -1 }).limit(1).toArray();
    expect(reads[0]?.data).toMatchObject({ rpc: 'biz.audit.v1.HistoryService/GetEntityState', count: 3, ownership_ids: ['own-1'] });
    await call('FindValues', { path: '/secret', value: 'Zuleica', ...name('values') }, dpoA);
    const texts = JSON.stringify(await audit.database.db.collection('events').find().toArray());
    expect([texts.includes('Zuleica'), texts.includes('/secret')]).toEqual([false, true]);
  });
});

function randomOf(seed: number): () => number {
  // mulberry32
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
