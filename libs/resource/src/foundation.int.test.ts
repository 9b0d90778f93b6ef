import { randomBytes, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createBus } from '@biz/bus';
import { loadContract } from '@biz/protos';
import { createReconciliationClient, type Head } from '@biz/reconciliation';
import { type CallContext, createRpcClient, serviceContext } from '@biz/rpc';
import { createLog, type RestoreNote } from '@biz/service';
import { engines, testDatabase, testTls, uniqueName, until } from '@biz/testing';
import { expect, test } from 'vitest';
import { createResource, defineResource, type EntityState, openFoundation, standardDecision } from './index.ts';

interface Note extends EntityState {
  name: string;
}

const trace = { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };

test('a service offers its store to the audit without any code of its own, and starts on nothing that is half restored', async () => {
  await using stack = new AsyncDisposableStack();
  const [database, tls] = await Promise.all([testDatabase('foundation'), testTls(['note', 'audit', 'gateway'])]);
  stack.use(database);
  stack.use(tls);
  const contract = loadContract({ dirs: [fileURLToPath(new URL('./test-protos', import.meta.url))] });
  const log = createLog('note', 'silent');
  const model = defineResource<Note>({
    contract,
    service: 'biz.note.v1.NoteService',
    entity: 'Note',
    decide: standardDecision<Note>,
    lookups: { tag: () => [] },
  });
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
  const restores = database.db.collection<RestoreNote>('restores');
  const restore = { _id: 'r-1', backup: 'b-1', databases: [database.name], began_at: new Date(), documents_at: null, ended_at: null };
  await restores.insertOne(restore);
  await expect(openFoundation({ name: 'note', config, contract, log, models: [model] })).rejects.toThrow('was begun');
  // neither on a keyring that lacks keys: it would make others
  await expect(
    openFoundation({ name: 'note', config: { ...config, MONGODB_DATABASE: `${database.name}_` }, contract, log, models: [model] }),
  ).rejects.toThrow('was begun');
  expect((await database.db.listCollections().toArray()).map(({ name }) => name)).toEqual(['restores']);
  await restores.deleteMany({});
  const foundation = await openFoundation({ name: 'note', config, contract, log, models: [model] });
  const notes = createResource(model, { ...foundation });
  const tag = notes.handler('TagNote', () => ({ kind: 'disable' }));
  const { address } = stack.use(await foundation.serve([model.service], { ...notes.handlers, TagNote: tag }));
  const company = randomUUID();
  const admin: CallContext = serviceContext('test', trace, { company_id: company });
  const gateway = stack.use(createRpcClient({ contract, service: model.service, address, tls: tls.tls('gateway') }));
  const { id } = await gateway.call<{ id: string }>('CreateNote', { name: 'Ana' }, admin);
  const audit = stack.use(
    createReconciliationClient({ contract, process: 'note', address, tls: tls.tls('audit'), caller: () => serviceContext('audit', trace) }),
  );
  expect(await audit.describe()).toEqual({ producer_service: 'note_service', entity_types: ['note'], keeps_events: true });
  await until(
    async () => {
      const heads: Head[] = [];
      for await (const batch of audit.heads({ graceMs: 0 })) heads.push(...batch.heads);
      return heads.some((head) => head.entity_id === id && head.company_id === company && head.settled_version === 1);
    },
    { what: 'the note among the heads, published' },
  );
});
