import { randomBytes, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createBus } from '@biz/bus';
import type { EventDocument, Upcast } from '@biz/eventstore';
import { parseJson } from '@biz/json';
import { loadContract } from '@biz/protos';
import { serviceContext } from '@biz/rpc';
import { createLog } from '@biz/service';
import { engines, testDatabase, testTls, uniqueName, until } from '@biz/testing';
import { expect, test } from 'vitest';
import { createResource, defineResource, type EntityState, openFoundation, standardDecision } from './index.ts';

interface Note extends EntityState {
  name: string;
  tags?: string[];
}

const contract = loadContract({ dirs: [fileURLToPath(new URL('./test-protos', import.meta.url))] });
const log = createLog('note', 'silent');
const trace = { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
/** Every note has tags, and so has one that was created before there were any. */
const tagged: Upcast[] = [{ to: '1.1', events: { 'note.created': (data) => ({ tags: ['antiga'], ...data }) } }];

function noteModel(upcasts?: Upcast[]) {
  return defineResource<Note>({
    ...{ contract, service: 'biz.note.v1.NoteService', entity: 'Note', decide: standardDecision<Note> },
    lookups: { tag: ({ tags }) => tags },
    ...(upcasts && { upcasts }),
  });
}

test('a service that knows a later schema reads, lists and reacts by it, and publishes what was written', async () => {
  await using stack = new AsyncDisposableStack();
  const [database, tls] = await Promise.all([testDatabase('upcast'), testTls(['note'])]);
  stack.use(database);
  stack.use(tls);
  const files = tls.tls('note');
  const topic = uniqueName('notes');
  const bus = stack.use(createBus({ brokers: engines().kafkaBrokers, clientId: 'test', log }));
  await bus.ensureTopics([{ topic, partitions: 1 }]);
  const config = {
    ...{ ENVIRONMENT: 'test', GRPC_LISTEN: '127.0.0.1:0', ALLOWED_PEERS: [], AUDIT_TOPIC: topic },
    ...{ TLS_CA_FILE: files.caFile, TLS_CERT_FILE: files.certFile, TLS_KEY_FILE: files.keyFile },
    ...{ MONGODB_URL: database.url, MONGODB_DATABASE: database.name, KEYRING_DATABASE: database.name },
    ...{ KAFKA_BROKERS: engines().kafkaBrokers, KEK: randomBytes(32).toString('base64') },
  };
  const context = serviceContext('test', trace, { company_id: randomUUID() });
  const create = { command: { kind: 'create', fields: { name: 'Ana' } }, context, event: 'note.created' } as const;
  {
    await using earlier = await openFoundation({ name: 'note', config, contract, log, models: [noteModel()] });
    await createResource(noteModel(), { ...earlier }).change({ id: 'n-1', ...create });
  }
  const model = noteModel(tagged);
  const foundation = stack.use(await openFoundation({ name: 'note', config, contract, log, models: [model], marks: ['told_at'] }));
  const told: EventDocument[] = [];
  foundation.react({ mark: 'told_at', deliver: async (batch) => void told.push(...batch) });
  const notes = createResource(model, { ...foundation });
  expect((await notes.find('n-1', context)).state).toMatchObject({ tags: ['antiga'] });
  await notes.change({ id: 'n-2', ...create });
  await until(() => told.length >= 2, { what: 'both events told of' });
  expect(told.map(({ schema_version, data }) => [schema_version, data.tags])).toEqual([
    ['1.1', ['antiga']],
    ['1.1', undefined],
  ]);
  // what the earlier release folded is made again by itself, and then found by its filter
  await until(async () => (await foundation.store.current.countDocuments({ 'keys.tag': 'antiga' })) === 1, { what: 'the fold made again' });
  const published: unknown[] = [];
  stack.use(
    bus.consumer({
      ...{ groupId: topic, topics: [topic], onFatal: () => undefined },
      batch: async ({ messages }) => void published.push(...messages.map(({ value }) => parseJson(String(value)))),
    }),
  );
  await until(() => published.length >= 2, { what: 'both events published' });
  expect(published).toEqual([
    expect.objectContaining({ metadata: expect.objectContaining({ event_schema_version: '1.0' }) }),
    expect.objectContaining({ metadata: expect.objectContaining({ event_schema_version: '1.1' }) }),
  ]);
  expect(published[0]).not.toHaveProperty('payload.tags');
});
