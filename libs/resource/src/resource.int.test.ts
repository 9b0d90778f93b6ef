import { randomBytes, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { AppError } from '@biz/errors';
import { type CurrentDocument, createEventStore, type EventStore } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, createRpcServer, type RpcClient, type RpcServer, serviceContext } from '@biz/rpc';
import { createKeyring, type Keyring, readKek } from '@biz/sealing';
import { type TestDatabase, type TestTls, testDatabase, testTls } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createResource,
  Decided,
  defineResource,
  type EntityState,
  neverCommand,
  type Patch,
  type Resource,
  type Sealable,
  type Stamp,
  type StandardCommand,
  standardDecision,
} from './index.ts';

interface Note extends EntityState {
  name: Sealable<string>;
  document?: string;
  remark?: Sealable<string>;
  author_id?: string;
  tags?: string[];
}
type Tag = { kind: 'tag'; tag: string };
interface NoteMessage {
  client_id?: string;
  id: string;
  version: number;
  name?: string;
  document?: string;
  remark?: string;
  tags?: string[];
  sealed_fields?: string[];
  erased_fields?: string[];
}

/** Facts are the number of times that they were gathered; the document is opened, so that its change is seen. */
function decide(
  command: (StandardCommand<Note> | Tag) & Stamp,
  state: Note | undefined,
  facts: number,
): Patch<Note> | Decided<Note> | null {
  if (command.kind !== 'tag') return standardDecision<Note>(command, state);
  switch (command.kind) {
    case 'tag':
      if (command.tag === 'urgent') return new Decided('note.escalated', { tags: [`urgent-${facts}-${state?.document}`] });
      return state?.tags?.includes(command.tag) ? null : { tags: [...(state?.tags ?? []), command.tag] };
    default:
      return neverCommand(command);
  }
}

let database: TestDatabase;
let tls: TestTls;
let store: EventStore;
let keyring: Keyring;
let notes: Resource<Note, Tag>;
let server: RpcServer;
let client: RpcClient;
const company = randomUUID();

beforeAll(async () => {
  [database, tls] = await Promise.all([testDatabase('resource'), testTls(['note', 'gateway'])]);
  const contract = loadContract({ dirs: [fileURLToPath(new URL('./test-protos', import.meta.url))] });
  const model = defineResource<Note, Tag, number>({
    ...{ contract, service: 'biz.note.v1.NoteService', entity: 'Note', decide },
    unique: [{ field: 'document' }],
    lookups: { tag: (state) => state.tags },
    opens: ['document'],
  });
  keyring = createKeyring({ database: database.db, kek: await readKek({ value: randomBytes(32).toString('base64') }), cacheSeconds: 0.05 });
  store = createEventStore({ db: database.db, entities: { [model.entityType]: model.rules }, lookups: model.filters });
  await Promise.all([store.ensureIndexes(), keyring.ensureIndexes()]);
  let gathered = 0;
  notes = createResource(model, { store, keyring, environment: 'test', prepare: async () => ++gathered });
  const handlers = { ...notes.handlers, TagNote: notes.handler<{ tag: string }>('TagNote', ({ tag }) => ({ kind: 'tag', tag })) };
  const log = { error: () => undefined, info: () => undefined, debug: () => undefined };
  server = await createRpcServer({ contract, services: [model.service], handlers, listen: '127.0.0.1:0', tls: tls.tls('note'), log });
  client = createRpcClient({ contract, service: model.service, address: server.address, tls: tls.tls('gateway') });
});
afterAll(async () => {
  client?.[Symbol.dispose]();
  await server?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
  await tls?.[Symbol.asyncDispose]();
});

function as(role: string, over: Partial<CallContext> = {}): CallContext {
  const trace_id = randomBytes(16).toString('hex');
  return {
    ...{ actor: { id: 'u1', type: 'user' }, role, roles: [role, 'user'], company_id: company, companies: [company], clients: [] },
    ...{ ip: '203.0.113.9', traceparent: `00-${trace_id}-00f067aa0ba902b7-01`, trace_id, request_id: trace_id },
    ...over,
  };
}
const call = (method: string, request: object, context = as('admin')) => client.call<NoteMessage>(method, request, context);
const list = async (request: object, context = as('admin')) =>
  (await client.call<{ items?: NoteMessage[] }>('ListNotes', request, context)).items ?? [];
const update = (id: string, expected_version: number, fields: object, paths = Object.keys(fields)) =>
  call('UpdateNote', { id, expected_version, update_mask: { paths }, ...fields });

describe('personal fields', () => {
  test('are sealed before anything is written, each under whose it is', async () => {
    const secrets = { name: 'Maria da Silva', document: '529.982.247-25', remark: 'atrasada', author_email: 'chefe@example.com' };
    const made = await call('CreateNote', { ...secrets, author_id: 'author-1' }, as('admin', { idempotency_key: randomUUID() }));
    expect(made).toMatchObject({ name: 'Maria da Silva', sealed_fields: ['remark'] });
    expect(made).not.toHaveProperty('remark');
    const event = await store.events.findOne({ 'meta.entity_id': made.id });
    const stored = JSON.stringify([event, await store.current.findOne({ _id: made.id }), await store.claims.find({}).toArray()]);
    for (const secret of [...Object.values(secrets), '52998224725']) expect(stored).not.toContain(secret);
    expect(event?.meta).toMatchObject({ ownership_id: made.id, blind_indexes: { document: expect.stringMatching(/^[0-9a-f]{64}$/) } });
    // The author's address is not filed under the note's person.
    expect(event?.meta.blind_indexes).not.toHaveProperty('email');
    const keys = await database.db
      .collection('data_keys')
      .find({ kind: 'data', ownership_id: { $in: [made.id, 'author-1'] } })
      .toArray();
    expect(keys).toHaveLength(2);
  });

  test('are opened for the roles that the proto names, and for services', async () => {
    const { id } = await call('CreateNote', { name: 'João', remark: 'x' });
    expect(await call('GetNote', { id }, as('user'))).toMatchObject({ sealed_fields: ['name', 'remark'] });
    expect(await call('GetNote', { id }, as('dpo'))).toMatchObject({ name: 'João', remark: 'x' });
    const [seen] = await list({}, serviceContext('other', { traceparent: as('x').traceparent, trace_id: 'x' }, { company_id: company }));
    expect(seen).not.toHaveProperty('sealed_fields');
  });

  test('are found by their blind index, within one company, and unique by it', async () => {
    const { id } = await call('CreateNote', { name: 'Ana', document: '111.444.777-35' });
    expect((await list({ document: '11144477735' })).map((note) => note.id)).toEqual([id]);
    expect(await list({ document: '11144477736' })).toEqual([]);
    await expect(call('CreateNote', { name: 'B', document: '11144477735' })).rejects.toMatchObject({
      code: 'already_exists',
      faults: [{ path: '/document' }],
    });
    const platform = as('admin', { company_id: null, companies: ['*'] });
    await expect(list({ document: '11144477735' }, platform)).rejects.toMatchObject({ code: 'company_required' });
    await update(id, 1, {}, ['document']);
    expect(await list({ document: '11144477735' })).toEqual([]);
    await call('CreateNote', { name: 'B', document: '11144477735' });
  });

  test('that a decision has opened change nothing when they are the same', async () => {
    const { id } = await call('CreateNote', { name: 'Eva', document: '1234' });
    expect(await update(id, 1, { document: '1234' })).toMatchObject({ version: 1 });
    expect(await update(id, 1, { document: '4321' })).toMatchObject({ version: 2, document: '4321' });
  });

  test('whose key is lost are sealed, and not said to be erased', async () => {
    const { id } = await call('CreateNote', { name: 'Ivo' });
    const keys = database.db.collection('data_keys');
    const key = await keys.findOneAndDelete({ ownership_id: id });
    await expect.poll(() => call('GetNote', { id }), { timeout: 30_000 }).toMatchObject({ sealed_fields: ['name'] });
    expect(await call('GetNote', { id })).not.toHaveProperty('erased_fields');
    await keys.insertOne(key as NonNullable<typeof key>);
  });

  test('after erasure are said to be erased, and nothing more is kept about the person', async () => {
    const { id } = await call('CreateNote', { name: 'Gil' });
    await database.db.collection('data_keys').updateOne({ ownership_id: id }, { $set: { state: 'erased', wrapped: null } });
    await expect.poll(() => call('GetNote', { id }), { timeout: 30_000 }).toMatchObject({ erased_fields: ['name'] });
    await expect(update(id, 1, { name: 'Gil' })).rejects.toMatchObject({ code: 'conflict' });
    expect(await call('TagNote', { id, tag: 'kept' })).toMatchObject({ version: 2, tags: ['kept'] });
  });
});

describe('a patch', () => {
  test('clears what its mask names without a value, empties a list, and leaves the rest', async () => {
    const { id } = await call('CreateNote', { name: 'Lia', document: '99', tags: ['a'] });
    const patched = await update(id, 1, {}, ['document', 'tags']);
    expect(patched).toMatchObject({ version: 2, name: 'Lia' });
    expect(patched).not.toHaveProperty('document');
    expect(patched.tags ?? []).toEqual([]);
    const event = await store.events.findOne({ 'meta.entity_id': id, version: 2 });
    expect(event?.data).toEqual({ id, document: null, tags: [] });
  });
});

describe('a service’s own command', () => {
  test('changes the entity that its request names, at the version that it names, or nothing', async () => {
    const { id } = await call('CreateNote', { name: 'Rui' });
    expect(await call('TagNote', { id, tag: 'a' })).toMatchObject({ version: 2, tags: ['a'] });
    expect(await call('TagNote', { id, tag: 'a' })).toMatchObject({ version: 2 });
    await expect(call('TagNote', { id, tag: 'b', expected_version: 1 })).rejects.toMatchObject({ code: 'version_mismatch' });
    expect((await list({ tag: 'a' })).map((note) => note.id)).toContain(id);
    expect(await store.events.findOne({ 'meta.entity_id': id, version: 2 })).toMatchObject({
      type: 'note.tagged',
      meta: { action_type: 'update' },
    });
  });

  test('may end in another event, knows the facts and what it asked to have opened', async () => {
    const { id } = await call('CreateNote', { name: 'Ivo', document: '77' });
    const { tags = [] } = await call('TagNote', { id, tag: 'urgent' });
    expect(tags[0]).toMatch(/^urgent-\d+-77$/);
    expect((await store.events.findOne({ 'meta.entity_id': id, version: 2 }))?.type).toBe('note.escalated');
  });

  test('can be a worker’s own, once', async () => {
    const { id } = await call('CreateNote', { name: 'Nei' });
    const trace = { traceparent: as('x').traceparent, trace_id: 'a'.repeat(32) };
    const context = serviceContext('note', trace, { company_id: company, idempotency_key: `seen-${id}` });
    const once = { id, command: { kind: 'tag', tag: 'seen' } as const, context, event: 'note.seen', ownership: 'id' };
    const [first, again] = [await notes.change(once), await notes.change(once)];
    expect([first.replayed, again.replayed]).toEqual([false, true]);
    expect(first.event?.meta).toMatchObject({ owner_id: 'note', owner_type: 'service', trace_id: trace.trace_id });
  });
});

test('what a repeated request said is kept as a keyed hash', async () => {
  const key = randomUUID();
  const context = as('admin', { idempotency_key: key });
  const { id } = await call('CreateNote', { name: 'Bia' }, context);
  const event = await store.events.findOne({ 'idempotency.key': key });
  expect(event?.idempotency).toEqual({ actor: 'u1', key, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
  await expect(call('CreateNote', { name: 'Bea' }, context)).rejects.toMatchObject({ code: 'idempotency_conflict' });
  // The same key of somebody else is another request.
  const other = await call('CreateNote', { name: 'Bia' }, { ...context, actor: { id: 'u2', type: 'user' } });
  expect(other.id).not.toBe(id);
});

describe('people of clients', () => {
  const bound = (...clients: string[]) => as('admin', { clients });

  test('meet their clients’ entities alone, and not the company’s own', async () => {
    const names = async (context: CallContext, request = {}) => (await list(request, context)).map(({ name }) => name);
    const tag = `t-${randomUUID().slice(0, 8)}`;
    const [own, x, y] = await Promise.all(
      [undefined, 'x', 'y'].map((client_id) =>
        call('CreateNote', { name: `of ${client_id}`, tags: [tag], ...(client_id && { client_id }) }),
      ),
    );
    expect(x).toMatchObject({ client_id: 'x' });
    expect(own).not.toHaveProperty('client_id');
    expect((await names(as('admin'), { tag })).toSorted()).toEqual(['of undefined', 'of x', 'of y']);
    expect(await names(as('admin'), { tag, client_id: 'y' })).toEqual(['of y']);
    expect(await names(bound('x'), { tag })).toEqual(['of x']);
    expect((await names(bound('x', 'y'), { tag })).toSorted()).toEqual(['of x', 'of y']);
    expect(await names(bound('x', 'y'), { tag, client_id: 'y' })).toEqual(['of y']);
    const id = y?.id ?? '';
    for (const [method, more] of [
      ['GetNote', {}],
      ['UpdateNote', { expected_version: 1, name: 'mine', update_mask: { paths: ['name'] } }],
      ['DeleteNote', {}],
    ] as const) {
      for (const hidden of [id, own?.id]) {
        const refused = call(method, { id: hidden, ...more }, bound('x'));
        await expect(refused).rejects.toMatchObject({ code: 'not_found', withheld: 'wrong_client' });
      }
      const absent = call(method, { id: randomUUID(), ...more }, bound('x'));
      await expect(absent).rejects.toMatchObject({ code: 'not_found', withheld: undefined });
    }
  });

  test('create for their client, and the client of an entity stays', async () => {
    const made = await call('CreateNote', { name: 'Ana' }, bound('x'));
    expect(made).toMatchObject({ client_id: 'x' });
    await update(made.id, 1, { name: 'Ana Lima' });
    const events = await store.events.find({ 'meta.entity_id': made.id }).toArray();
    expect(events.map(({ meta }) => meta.client_id)).toEqual(['x', 'x']);
    expect(events[0]?.data).not.toHaveProperty('client_id');
    await expect(call('CreateNote', { name: 'Ana', client_id: 'y' }, bound('x'))).rejects.toMatchObject({ code: 'wrong_client' });
    await expect(call('CreateNote', { name: 'Ana' }, bound('x', 'y'))).rejects.toMatchObject({
      ...{ code: 'invalid_request', faults: [{ path: '/client_id' }] },
    });
    expect(await call('CreateNote', { name: 'Ana', client_id: 'y' }, bound('x', 'y'))).toMatchObject({ client_id: 'y' });
  });

  test('a page’s token is not taken in the name of another client', async () => {
    const first = await client.call<{ next_page_token: string }>('ListNotes', { page_size: 1 }, as('admin'));
    const taken = client.call('ListNotes', { page_size: 1, page_token: first.next_page_token }, bound('x'));
    await expect(taken).rejects.toMatchObject({ code: 'invalid_request', faults: [{ path: '/page_token' }] });
  });
});

test('a list of large entities is given in pages that fit in a message, each once', async () => {
  const own = randomUUID();
  const there = as('admin', { company_id: own, companies: [own] });
  const { id: first } = await call('CreateNote', { name: 'Ana' }, there);
  const small = (await store.current.findOne({ _id: first })) as CurrentDocument;
  // as a team of many people is, that grew by one after the other
  const large = { ...small.state, tags: ['á'.repeat(170_000)] };
  const ids = Array.from({ length: 14 }, () => randomUUID());
  await store.current.insertMany(ids.map((id) => ({ ...small, _id: id, state: large })));
  const pages: string[][] = [];
  let token: string | undefined;
  do {
    const request = { page_size: 200, ...(token && { page_token: token }) };
    const page = await client.call<{ items: NoteMessage[]; next_page_token?: string }>('ListNotes', request, there);
    pages.push(page.items.map(({ id }) => id));
    token = page.next_page_token;
  } while (token);
  expect(pages.length).toBeGreaterThan(1);
  expect(pages.flat().toSorted()).toEqual([first, ...ids].toSorted());
});

test('a service refuses a context of a company that is not the caller’s, whoever brings it', async () => {
  const { id } = await call('CreateNote', { name: 'Eva' });
  const forged = as('admin', { company_id: company, companies: ['other'] });
  await expect(call('GetNote', { id }, forged)).rejects.toMatchObject({ code: 'wrong_company' });
  await expect(call('CreateNote', { name: 'Eva' }, forged)).rejects.toMatchObject({ code: 'wrong_company' });
});

test('a look at another company is told to the fleet, and the caller hears what it would of an id that never was', async () => {
  const { id } = await call('CreateNote', { name: 'Ivo' });
  const other = { company_id: 'other', companies: ['other'] };
  const hears = async (method: string, request: object, context: CallContext) => {
    const error = await call(method, request, context).then(
      () => new Error('found'),
      (thrown: unknown) => thrown as AppError,
    );
    const { code, message, faults, withheld } = error as AppError;
    return { told: { code, message, faults }, withheld };
  };
  for (const [method, more] of [
    ['GetNote', {}],
    ['TagNote', { tag: 'x' }],
  ] as const) {
    const foreign = await hears(method, { id, ...more }, as('admin', other));
    const absent = await hears(method, { id: randomUUID(), ...more }, as('admin', other));
    expect([foreign.told, foreign.withheld, absent.withheld]).toEqual([absent.told, 'wrong_company', undefined]);
    expect(foreign.told.code).toBe('not_found');
    // one's own, looked for in the wrong place
    const misplaced = await hears(method, { id, ...more }, as('admin', { company_id: 'other', companies: ['other', company] }));
    expect(misplaced).toEqual({ told: absent.told, withheld: undefined });
  }
});
