import { randomUUID } from 'node:crypto';
import { createBus } from '@biz/bus';
import { producerName } from '@biz/envelope';
import { createRelay, type EventStore, type Mark, publishSpans, publishTo, type RelayOptions, startWorker } from '@biz/eventstore';
import type { Contract } from '@biz/protos';
import { reconciliationHandlers, reconciliationService } from '@biz/reconciliation';
import { createRpcServer, type Handlers, type TlsFiles } from '@biz/rpc';
import { createKeyring, type Keyring, readKek } from '@biz/sealing';
import { assertRestored, connectMongo, type KafkaConfig, kafkaConnection, type Log, type RunningService } from '@biz/service';
import { followDatabase } from './health.ts';
import { openStore, type StoreModels } from './store.ts';

/** The part of a service's configuration that its foundation needs; `serviceShape` of @biz/service and the database's name. */
export interface FoundationConfig extends KafkaConfig {
  ENVIRONMENT: string;
  GRPC_LISTEN: string;
  ALLOWED_PEERS: readonly string[];
  TLS_CA_FILE: string;
  TLS_CERT_FILE: string;
  TLS_KEY_FILE: string;
  TLS_RELOAD_SECONDS?: number | undefined;
  MONGODB_URL: string;
  MONGODB_DATABASE: string;
  KEYRING_DATABASE: string;
  AUDIT_TOPIC: string;
  KEK?: string | undefined;
  KEK_FILE?: string | undefined;
}

export interface FoundationOptions {
  /** Name of the process, for example `cost-center`. */
  name: string;
  config: FoundationConfig;
  contract: Contract;
  log: Log;
  /** The service's kinds of entities. */
  models: StoreModels;
  /** Marks of reactors beside the relay to Kafka. */
  marks?: readonly Mark[];
}

/** How often folds of an earlier release are looked for, in milliseconds. */
const REFOLD_MS = 2_000;

/** What every domain service stands on: its store, the keyring, the relay to Kafka, and what closes them. */
export interface Foundation {
  readonly store: EventStore;
  readonly keyring: Keyring;
  readonly environment: string;
  readonly tls: TlsFiles;
  /** Closed with the service, before what was opened earlier. */
  use<Part extends Disposable | AsyncDisposable>(part: Part): Part;
  /** A further reactor to the events, with its own mark and lease; it gets them as today's schema has them. */
  react(options: Pick<RelayOptions, 'mark' | 'deliver'> & Partial<RelayOptions>): void;
  /** Offers the services over gRPC; disposing the answer ends everything. The last step of a start. */
  serve(services: readonly string[], handlers: Handlers): Promise<RunningService>;
  /** For a start that fails before `serve`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens the stores (indexes made, `current` repaired) and starts the relay. Throws when MongoDB is away, a restore into one of its databases is not
 * finished, or the key-encryption key is missing; Kafka may be away.
 */
export async function openFoundation(options: FoundationOptions): Promise<Foundation> {
  const { name, config, contract, log } = options;
  await using stack = new AsyncDisposableStack();
  const mongo = connectMongo(config.MONGODB_URL, { appName: name });
  stack.defer(() => mongo.close());
  for (const database of [config.MONGODB_DATABASE, config.KEYRING_DATABASE]) await assertRestored(mongo.db(database));
  const kek = await readKek({ ...(config.KEK && { value: config.KEK }), ...(config.KEK_FILE && { file: config.KEK_FILE }) });
  const keyring = createKeyring({ database: mongo.db(config.KEYRING_DATABASE), kek });
  const store = openStore(mongo.db(config.MONGODB_DATABASE), options);
  await Promise.all([keyring.ensureIndexes(), store.ensureIndexes()]);
  const behind = await store.repair();
  if (behind > 0) log.info({ behind }, 'current state repaired from events');
  const bus = stack.use(createBus({ ...kafkaConnection(config), clientId: name, log }));
  const identity = { service: producerName(name), instance: randomUUID() };
  const deliver = publishTo(bus.producer(), config.AUDIT_TOPIC, identity);
  const entity_types = options.models.map(({ entityType }) => entityType);
  const source = { events: store.events, producer_service: identity.service, entity_types, keeps_events: true };
  const relay = (given: Parameters<Foundation['react']>[0]) => void closing.use(createRelay({ store, log, ...given }));
  const { TLS_CA_FILE: caFile, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, TLS_RELOAD_SECONDS: seconds } = config;
  const tls = { caFile, certFile, keyFile, ...(seconds !== undefined && { reloadMs: seconds * 1_000 }) };
  const closing = stack.move();
  // what is published is what was written: the audit's proofs are of that
  relay({ mark: 'published_at', deliver, ...publishSpans(config.AUDIT_TOPIC) });
  if (store.hasUpcasts) closing.use(startRefolding(store, log));
  return {
    store,
    keyring,
    environment: config.ENVIRONMENT,
    tls,
    react: ({ deliver: react, ...rest }) => relay({ ...rest, deliver: (batch, ...given) => react(batch.map(store.upcast), ...given) }),
    use: (part) => closing.use(part),
    serve: (services, handlers) =>
      orDispose(closing, async () => {
        const reflection = config.ENVIRONMENT === 'local';
        const { GRPC_LISTEN: listen, ALLOWED_PEERS: allowedPeers } = config;
        const server = closing.use(
          await createRpcServer({
            ...{ contract, listen, tls, allowedPeers, reflection, log },
            services: [...services, reconciliationService],
            handlers: { ...handlers, ...reconciliationHandlers(source) },
          }),
        );
        closing.use(followDatabase(store.db, server));
        return { address: server.address, [Symbol.asyncDispose]: () => closing.disposeAsync() };
      }),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Makes what an earlier release folded again, at once and while that one still runs beside this. One index look-up when there is nothing. */
function startRefolding(store: EventStore, log: Log): AsyncDisposable {
  const work = async (stopping: AbortSignal) => {
    const refolded = await store.refold(stopping);
    if (refolded > 0) log.info({ refolded }, 'states folded again for the schema of today');
    return refolded > 0;
  };
  return startWorker({ db: store.db, lease: 'refold', work, pollMs: REFOLD_MS, log });
}

async function orDispose<Result>(stack: AsyncDisposableStack, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}
