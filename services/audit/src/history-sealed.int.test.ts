import { randomUUID } from 'node:crypto';
import { type EventSource, envelopeOf } from '@biz/envelope';
import { type CurrentDocument, type EventDocument, evolve } from '@biz/eventstore';
import type { JsonObject } from '@biz/json';
import { createKeyring, type Keyring, openFields, readKek, sealFields } from '@biz/sealing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  at,
  auditorA,
  card,
  type Diff,
  dpoA,
  type Found,
  type HistoryHarness,
  historyHarness,
  name,
  type State,
} from './testing/history.ts';

let history: HistoryHarness;
beforeAll(async () => {
  history = await historyHarness();
});
afterAll(() => history?.[Symbol.asyncDispose]());

describe('the state of an entity of our own services', () => {
  let keyring: Keyring;
  const events: EventDocument[] = [];
  const folds: CurrentDocument[] = [];
  const id = 'p-1';
  const person = (version: number, more: object = {}, who = dpoA) =>
    history.call<State>('GetEntityState', { ...name(id, 'person'), version, ...more }, who);
  const difference = (from: number, to: number, who = dpoA) =>
    history.call<Diff>('GetEntityDiff', { ...name(id, 'person'), from, to }, who);

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
    keyring = createKeyring({ database: history.audit.keyring.db, kek: await readKek({ value: String(history.audit.env.KEK) }) });
    await change({ id, name: 'Ana Lima', tags: { a: 1 } });
    await change({ name: 'Ana Souza', tags: { b: 2 } });
    await change({ note: 'lost on its way', tags: { a: null } });
    await change({ name: 'Ana Souza', note: 'later' });
    await change({ note: null, tags: { c: { d: 9 } }, name: 'Ana Reis' }, 'p-2');
    // The third is lost, and published again when the others are there.
    const [first, second, lost, ...rest] = events.map(messageOf);
    await history.record([first, second, ...rest, lost] as { value: string }[]);
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
      const then = await history.call<State>('GetEntityState', { ...name(id, 'person'), at: at(version) }, dpoA);
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
    await history.record(
      card(
        'erased',
        [
          ['created', '{"a":1}'],
          ['changed', '{"b":2}'],
        ],
        { ownership_id: 'own-gone' },
      ),
    );
    await history.record(card('erased', [['changed', '{"c":3}']], { ownership_id: 'own-stays' }));
    await history.record(
      card(
        'gone',
        [
          ['created', '{"a":1}'],
          ['changed', '{"b":2}'],
        ],
        { ownership_id: 'own-gone' },
      ),
    );
    await history.audit.keyring.db
      .collection('data_keys')
      .updateMany({ ownership_id: { $in: ['p-2', 'own-gone'] } }, { $set: { state: 'erased', wrapped: null } });
    // This process may hold the keys for another minute; one that starts now does not.
    const other = history.audit.client((await history.audit.start({}, { CONSUMER_GROUP: `${history.audit.name}-2` })).address);
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
    const found = await history.call<Found>('FindValues', { path: '/name', value: 'Ana Souza', ...name(id, 'person') }, dpoA);
    expect(found.items?.map(({ version, value }) => [version, value])).toEqual([
      [3, '"Ana Souza"'],
      [2, '"Ana Souza"'],
    ]);
  });
});
