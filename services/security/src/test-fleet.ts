import { randomBytes, randomUUID } from 'node:crypto';
import { type Bus, createBus } from '@biz/bus';
import { envelopeOf } from '@biz/envelope';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, type RpcClient, serviceContext } from '@biz/rpc';
import { createKeyring, type Keyring, readKek, sealFields } from '@biz/sealing';
import { eventName, type SecurityEventType, severityOf } from '@biz/security-events';
import { createLog, newId, type RunningService, traceContext } from '@biz/service';
import { engines, type TestDatabase, type TestTls, testDatabase, testTls, uniqueName, until } from '@biz/testing';
import { readServiceConfig } from './config.ts';
import { startSecurity } from './service.ts';

/** What the service finds around it: stores, a topic of its own, keys; and the events that others tell of. */
export interface TestFleet extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly tls: TestTls;
  readonly topic: string;
  readonly bus: Bus;
  readonly keyring: Keyring;
  readonly environment: Record<string, string>;
  start(over?: Record<string, string>): Promise<RunningService & { client: RpcClient }>;
  client(address: string, service?: string, peer?: string): RpcClient;
  /** Publishes security events; gives their ids. */
  publish(...drafts: Draft[]): Promise<string[]>;
  /** Any message. */
  send(value: string): Promise<void>;
  /** Resolves when every sink has taken all that was published before: only then is an offset committed. */
  taken(): Promise<void>;
}

export interface Draft {
  type: SecurityEventType;
  company_id?: string | null;
  client_id?: string | null;
  user_id?: string | null;
  email?: string;
  user_agent?: string;
  ip?: string;
  at?: Date;
  event_id?: string;
  count?: number;
  details?: Record<string, string>;
}

export async function testFleet(): Promise<TestFleet> {
  const [database, tls] = await Promise.all([
    testDatabase('security'),
    testTls(['security', 'gateway', 'identity', 'team', 'notification']),
  ]);
  const topic = uniqueName('audit');
  const bus = createBus({ brokers: engines().kafkaBrokers, clientId: 'test', log: createLog('test', 'silent') });
  await bus.ensureTopics([{ topic, partitions: 2 }]);
  const kek = randomBytes(32).toString('base64');
  const keyring = createKeyring({ database: database.db, kek: await readKek({ value: kek }), cacheSeconds: 0.001 });
  const producer = bus.producer();
  const files = tls.tls('security');
  const environment: Record<string, string> = {
    ...{ GRPC_LISTEN: '127.0.0.1:0', MONGODB_URL: database.url, MONGODB_DATABASE: database.name, KEYRING_DATABASE: database.name },
    ...{ KAFKA_BROKERS: engines().kafkaBrokers.join(','), AUDIT_TOPIC: topic, CONSUMER_GROUP: topic, KEK: kek },
    ...{ TLS_CA_FILE: files.caFile, TLS_CERT_FILE: files.certFile, TLS_KEY_FILE: files.keyFile },
  };
  const client = (address: string, service = 'biz.security.v1.SecurityEventService', peer = 'gateway') =>
    createRpcClient({ contract: loadContract(), service, address, tls: tls.tls(peer) });
  return {
    ...{ database, tls, topic, bus, keyring, environment, client },
    async start(over = {}) {
      const service = await startSecurity(readServiceConfig({ ...environment, ...over }), createLog('security', 'silent'));
      return { ...service, client: client(service.address) };
    },
    async publish(...drafts) {
      const messages = await Promise.all(drafts.map((draft) => messageOf(keyring, draft)));
      await producer.send(topic, messages);
      return messages.map(({ headers }) => headers.event_id);
    },
    send: (value) => producer.send(topic, [{ key: null, value }]),
    async taken() {
      const behind = async () => (await bus.lag(topic, topic)).some(({ lag }) => lag > 0n);
      await until(async () => !(await behind()), { what: 'the topic to be read', timeoutMs: 60_000, intervalMs: 100 });
    },
    async [Symbol.asyncDispose]() {
      for (const part of [bus, database, tls]) await part[Symbol.asyncDispose]();
    },
  };
}

async function messageOf(keyring: Keyring, draft: Draft) {
  const { type, at = new Date(), company_id = null, client_id = null, user_id = null, ip = '203.0.113.9' } = draft;
  const event_id = draft.event_id ?? newId();
  const ownership_id = user_id ?? company_id ?? 'anonymous';
  const plain = {
    ...{ event_type: type, severity: severityOf(type), user_id, company_id, client_id, resource: '/v1/teams/{id}', action: 'GET' },
    ...{
      user_email: draft.email ?? null,
      user_agent: draft.user_agent ?? null,
      request_id: 'r-1',
      success: false,
      error_message: 'no_role',
    },
    ...{ details: draft.details ?? {}, count: draft.count ?? 1, first_at: at.toISOString(), last_at: at.toISOString() },
  };
  const fields = ['/user_email', '/user_agent'].map((path) => ({ path, ownership_id }));
  const [data = {}] = await sealFields(keyring, [{ company_id, event_id, data: plain, fields }]);
  return envelopeOf(
    {
      ...{ _id: event_id, version: 1, type: eventName(type), schema_version: '1.0', data, at: at.toISOString() },
      meta: {
        ...{
          entity_type: 'security_event',
          entity_id: event_id,
          action_type: 'new',
          company_id,
          client_id,
          ownership_id,
          environment: 'test',
        },
        ...{ owner_id: user_id ?? 'anonymous', owner_ip: ip, owner_role: 'user', owner_type: 'user' },
        ...traceContext(),
      },
    },
    { service: 'gateway_service', instance: randomUUID() },
  );
}

/** The context of a person with these roles in these companies (`*` is all). */
export function person(roles: string[], companies: string[]): CallContext {
  const [company_id = null] = companies.length === 1 && companies[0] !== '*' ? companies : [];
  const actor = { id: 'p-1', type: 'user' as const };
  return serviceContext('test', traceContext(), { actor, roles, role: roles[0] ?? 'user', companies, company_id });
}
