import { randomBytes, randomUUID } from 'node:crypto';
import { type Bus, createBus } from '@biz/bus';
import { envelopeOf } from '@biz/envelope';
import type { JsonObject } from '@biz/json';
import { createKeyring, type Keyring, readKek, sealFields } from '@biz/sealing';
import { createLog, newId, traceContext } from '@biz/service';
import { engines, type TestDatabase, type TestTls, testDatabase, testTls, uniqueName } from '@biz/testing';

/** What the service finds around it: stores, a topic of its own, keys, and identity's events on the topic. */
export type TestFleet = AsyncDisposable & {
  readonly database: TestDatabase;
  readonly tls: TestTls;
  readonly topic: string;
  readonly keyring: Keyring;
  readonly bus: Bus;
  /** The service's environment, but for its mail server. */
  readonly environment: Record<string, string>;
  /** A `user.created` as identity publishes it. */
  userCreated(user: NewUser): Promise<{ key: string; value: string; headers: Record<string, string> }>;
  publish(...messages: { key: string; value: string; headers: Record<string, string> }[]): Promise<void>;
};

export type NewUser = { readonly company_id: string; readonly email: string; readonly locale?: string; readonly at?: Date };

export async function testFleet(): Promise<TestFleet> {
  const [database, tls] = await Promise.all([testDatabase('notification'), testTls(['notification', 'gateway'])]);
  const topic = uniqueName('audit');
  const bus = createBus({ brokers: engines().kafkaBrokers, clientId: 'test', log: createLog('test', 'silent') });
  await bus.ensureTopics([{ topic, partitions: 2 }]);
  const kek = randomBytes(32).toString('base64');
  const keyring = createKeyring({ database: database.db, kek: await readKek({ value: kek }) });
  const producer = bus.producer();
  const files = tls.tls('notification');
  return {
    ...{ database, tls, topic, keyring, bus },
    environment: {
      ...{ GRPC_LISTEN: '127.0.0.1:0', MONGODB_URL: database.url, MONGODB_DATABASE: database.name, KEYRING_DATABASE: database.name },
      ...{ KAFKA_BROKERS: engines().kafkaBrokers.join(','), AUDIT_TOPIC: topic, CONSUMER_GROUP: topic, KEK: kek },
      ...{ TLS_CA_FILE: files.caFile, TLS_CERT_FILE: files.certFile, TLS_KEY_FILE: files.keyFile },
      ...{ MAIL_FROM: 'Biz Retail <no-reply@biz.example>', MAIL_FIRST_PAUSE_MS: '50', MAIL_MAX_ATTEMPTS: '3' },
    },
    userCreated: (user) => userCreated(keyring, user),
    publish: (...messages) => producer.send(topic, messages),
    async [Symbol.asyncDispose]() {
      for (const part of [bus, database, tls]) await part[Symbol.asyncDispose]();
    },
  };
}

async function userCreated(keyring: Keyring, { company_id, email, locale, at = new Date() }: NewUser) {
  const id = newId();
  const plain: JsonObject = { id, username: email.split('@')[0] ?? '', email, name: 'Maria Silva', ...(locale && { locale }) };
  const event_id = newId();
  const fields = ['/email', '/name'].map((path) => ({ path, ownership_id: id }));
  const [data = {}] = await sealFields(keyring, [{ company_id, event_id, data: plain, fields }]);
  const who = { owner_id: 'bootstrap', owner_ip: '127.0.0.1', owner_role: 'service', owner_type: 'service' as const };
  return envelopeOf(
    {
      ...{ _id: event_id, version: 1, type: 'user.created', schema_version: '1.0', data, at: at.toISOString() },
      meta: {
        ...{ entity_type: 'user', entity_id: id, action_type: 'new', company_id, client_id: null, ownership_id: id, environment: 'test' },
        ...who,
        ...traceContext(),
      },
    },
    { service: 'identity_service', instance: randomUUID() },
  );
}
