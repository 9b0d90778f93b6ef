import { randomBytes, randomUUID } from 'node:crypto';
import { createBus } from '@biz/bus';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient } from '@biz/rpc';
import { createLog, type RunningService } from '@biz/service';
import { engines, testDatabase, testTls, uniqueName } from '@biz/testing';
import kafkajs from 'kafkajs';
import { type Collections, collectionsOf } from '../collections.ts';
import { auditConfig } from '../config.ts';
import { services } from '../rpc.ts';
import { createAudit, type Overrides } from '../service.ts';

export interface Place {
  partition: number;
  offset: number;
}

/** What a test needs of an audit of its own: topics, databases, certificates, and a plain Kafka client that knows nothing of us. */
export async function auditHarness(options: { partitions?: number } = {}) {
  await using stack = new AsyncDisposableStack();
  const name = uniqueName('audit');
  const database = stack.use(await testDatabase(name));
  const keyring = stack.use(await testDatabase(`${name}_keys`));
  const tls = stack.use(await testTls(['audit', 'gateway', 'cost-center', 'team']));
  const log = createLog('audit', process.env.TEST_LOG_LEVEL ?? 'silent');
  const bus = stack.use(createBus({ brokers: engines().kafkaBrokers, clientId: name, log }));
  const [topic, dlq] = [`${name}-topic`, `${name}.dlq`];
  await bus.ensureTopics([
    { topic, partitions: options.partitions ?? 1 },
    { topic: dlq, partitions: 1 },
  ]);
  const plain = new kafkajs.Kafka({ brokers: engines().kafkaBrokers, clientId: 'somebody', logLevel: kafkajs.logLevel.NOTHING });
  const sender = plain.producer();
  await sender.connect();
  stack.defer(() => sender.disconnect());
  const env: NodeJS.ProcessEnv = {
    GRPC_LISTEN: '127.0.0.1:0',
    MONGODB_URL: engines().mongodbUrl,
    MONGODB_DATABASE: database.name,
    KEYRING_DATABASE: keyring.name,
    KAFKA_BROKERS: engines().kafkaBrokers.join(','),
    AUDIT_TOPIC: topic,
    DLQ_TOPIC: dlq,
    CONSUMER_GROUP: name,
    KEK: randomBytes(32).toString('base64'),
    CHECKPOINT_KEY: randomBytes(32).toString('base64'),
    CHECKPOINT_EVERY_MS: '50',
    TLS_CA_FILE: tls.caFile,
    TLS_CERT_FILE: tls.tls('audit').certFile,
    TLS_KEY_FILE: tls.tls('audit').keyFile,
  };
  const collections: Collections = collectionsOf(database.db);
  const opened = stack.move();
  return {
    name,
    topic,
    dlq,
    env,
    collections,
    database,
    keyring,
    tls,
    plain,
    bus,
    start: async (overrides: Overrides = {}, more: NodeJS.ProcessEnv = {}): Promise<RunningService> =>
      opened.use(await createAudit(auditConfig({ ...env, ...more }), log, overrides)),
    /** Sends messages, one after the other, and tells where they are. */
    send: async (messages: readonly (kafkajs.Message | object)[], partition?: number, to = topic): Promise<Place[]> => {
      const places: Place[] = [];
      for (const message of messages) {
        const one = 'value' in message ? (message as kafkajs.Message) : { value: JSON.stringify(message) };
        const [sent] = await sender.send({ topic: to, messages: [{ ...one, ...(partition !== undefined && { partition }) }] });
        places.push({ partition: sent?.partition ?? -1, offset: Number(sent?.baseOffset) });
      }
      return places;
    },
    /** Sends many messages to a partition in one request: for a store that only has to be there. */
    sendAtOnce: async (messages: readonly object[], partition: number): Promise<void> => {
      await sender.send({ topic, messages: messages.map((message) => ({ value: JSON.stringify(message), partition })) });
    },
    /** A client of the running service, as the gateway. */
    client: (address: string) => {
      const contract = loadContract();
      const clients = services.map((service) => opened.use(createRpcClient({ contract, service, address, tls: tls.tls('gateway') })));
      return <Answer extends object>(method: string, request: object, context: CallContext): Promise<Answer> => {
        const at = services.findIndex((service) => contract.service(service).methods.some((one) => one.name === method));
        return (clients[at] as (typeof clients)[number]).call<Answer>(method, request, context);
      };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

export type AuditHarness = Awaited<ReturnType<typeof auditHarness>>;

/** The context of somebody with these roles, of these companies; with one company that one is chosen. */
export function contextOf(roles: string[], companies: string[]): CallContext {
  const [only] = companies;
  return {
    actor: { id: 'u-test', type: 'user' },
    role: roles[0] ?? 'none',
    roles,
    company_id: companies.length === 1 && only !== '*' ? (only as string) : null,
    companies,
    clients: [],
    ip: '203.0.113.1',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    request_id: randomUUID(),
  };
}

export interface EnvelopeChange {
  event_type?: string;
  payload?: object;
  trace_id?: string;
  timestamp?: string;
  producer_service?: string;
  metadata?: Record<string, unknown>;
  [extra: string]: unknown;
}

/** An envelope of a producer that seals nothing, as it would send it. */
export function envelope({ metadata, ...change }: EnvelopeChange = {}): Record<string, unknown> & { metadata: Record<string, unknown> } {
  return {
    producer_service: 'loyalty_service',
    producer_service_id: '0b9c7a51-9e64-4d0e-8f0a-1c1f3b8f6b52',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    timestamp: new Date().toISOString(),
    event_type: 'card.created',
    payload: { id: 'c-1' },
    ...change,
    metadata: {
      event_id: randomUUID(),
      event_schema_version: '1.0',
      owner_id: 'u-7',
      owner_ip: '203.0.113.7',
      owner_role: 'manager',
      owner_type: 'user',
      ownership_id: 'own-1',
      ...metadata,
    },
  };
}
