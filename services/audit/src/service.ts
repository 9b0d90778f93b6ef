import { randomUUID } from 'node:crypto';
import { createBus } from '@biz/bus';
import { createOutbox } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { reconciliationHandlers, reconciliationService } from '@biz/reconciliation';
import { createRpcServer } from '@biz/rpc';
import { createKeyring, readKek } from '@biz/sealing';
import { assertRestored, connectMongo, kafkaConnection, type Log, type RunningService } from '@biz/service';
import { collectionsOf, ensureIndexes } from './collections.ts';
import { startReconciler, startTelling } from './completeness/index.ts';
import { ownEvents, reconcilerParts } from './completeness/wiring.ts';
import type { AuditConfig } from './config.ts';
import { createGate, type HistoryParts } from './history/parts.ts';
import { type IngestParts, ingest } from './ingest/ingest.ts';
import { createMongoStore } from './ingest/mongo-store.ts';
import { Pending } from './ingest/pending.ts';
import { startCheckpointer } from './integrity/checkpointer.ts';
import { logSigners } from './integrity/signing.ts';
import type { LetterParts } from './letters/replay.ts';
import { createReadLog, type OpenReadDocument } from './reads/read-log.ts';
import type { RpcParts } from './rpc/parts.ts';
import { createHandlers, services } from './rpc.ts';
import { openTraces } from './traces/open.ts';
import { createVerifications } from './verify/verifications.ts';
import { verificationParts } from './verify/wiring.ts';

/** Parts that a test may put in the place of the real ones. */
export interface Overrides {
  /** Wraps the parts of the consumer, to make a step fail or wait. */
  ingestParts?: (parts: IngestParts) => IngestParts;
  /** Called when the consumer is dead; by default the process ends, and is started again by its supervisor. */
  onFatal?: (error: Error) => void;
}

/** Everything wired by hand: stores, the consumer of the topic, the gRPC services. Throws when MongoDB is away; Kafka may be away. */
export async function createAudit(config: AuditConfig, log: Log, overrides: Overrides = {}): Promise<RunningService> {
  await using stack = new AsyncDisposableStack();
  const mongo = connectMongo(config.MONGODB_URL, { appName: 'audit' });
  stack.defer(() => mongo.close());
  const kek = await readKek({ ...(config.KEK && { value: config.KEK }), ...(config.KEK_FILE && { file: config.KEK_FILE }) });
  const keyring = createKeyring({ database: mongo.db(config.KEYRING_DATABASE), kek });
  const db = mongo.db(config.MONGODB_DATABASE);
  const collections = collectionsOf(db);
  for (const one of [db, mongo.db(config.KEYRING_DATABASE)]) await assertRestored(one);
  await Promise.all([keyring.ensureIndexes(), ensureIndexes(collections)]);
  const bus = stack.use(createBus({ ...kafkaConnection(config), clientId: 'audit', log }));
  const outbox = stack.use(
    await createOutbox({
      db,
      producer: bus.producer(),
      topic: config.AUDIT_TOPIC,
      identity: { service: 'audit_service', instance: randomUUID() },
      environment: config.ENVIRONMENT,
      keepDays: config.OUTBOX_KEEP_DAYS,
      log,
    }),
  );
  const openReads = db.collection<OpenReadDocument>('open_reads');
  const reads = stack.use(createReadLog({ outbox, openReads, log, patienceMs: config.OPEN_READ_SECONDS * 1_000 }));
  const history: HistoryParts = {
    collections,
    keyring,
    limits: { batch: config.HISTORY_BATCH, answerBytes: config.HISTORY_ANSWER_BYTES, searched: config.FIND_VALUES_RECORDS },
    gate: createGate(config.HISTORY_CONCURRENCY, config.HISTORY_WAITING),
  };
  const signerOf = logSigners(config.CHECKPOINT_ORIGIN, config.CHECKPOINT_KEY);
  const store = createMongoStore(collections);
  const limits = { maxBytes: config.ENVELOPE_MAX_BYTES, maxDepth: 64 };
  const letters: LetterParts = { collections, keyring, store, outbox, producer: bus.producer(), topic: config.AUDIT_TOPIC, limits };
  const contract = loadContract();
  stack.use(startTelling({ db, collections, outbox, log }));
  const reconciler = stack.use(startReconciler(reconcilerParts(config, { db, collections, contract, bus, log })));
  const verifications = stack.use(createVerifications(verificationParts(config, { db, collections, reconciler, signerOf, log })));
  const rpcParts: RpcParts = {
    ...{ collections, keyring, outbox, reads, letters, signerOf, history, reconciler, verifications },
    pages: createGate(config.LIST_CONCURRENCY, config.LIST_WAITING),
    traces: openTraces(config, stack),
    exporting: {
      model: contract.message('biz.audit.v1.Record'),
      batch: config.EXPORT_BATCH,
      span: config.EXPORT_SPAN,
      atOnce: config.EXPORT_CONCURRENCY,
    },
    replaySpan: config.REPLAY_SPAN,
  };
  const server = await createRpcServer({
    contract,
    services: [...services, reconciliationService],
    handlers: { ...createHandlers(rpcParts), ...reconciliationHandlers(ownEvents(db)) },
    listen: config.GRPC_LISTEN,
    tls: {
      caFile: config.TLS_CA_FILE,
      certFile: config.TLS_CERT_FILE,
      keyFile: config.TLS_KEY_FILE,
      reloadMs: config.TLS_RELOAD_SECONDS * 1_000,
    },
    allowedPeers: config.ALLOWED_PEERS,
    reflection: config.ENVIRONMENT === 'local',
    log,
  });
  stack.use(server);
  const own: IngestParts = {
    store,
    keyring,
    producer: bus.producer(),
    dlqTopic: config.DLQ_TOPIC,
    pending: new Pending(),
    log,
    limits,
    skewMs: config.CLOCK_SKEW_SECONDS * 1000,
  };
  const parts = overrides.ingestParts?.(own) ?? own;
  // disposed of after the consumer: an orderly stop leaves nothing that is recorded and not signed
  stack.use(
    startCheckpointer({ db, collections, store, signerOf, file: config.CHECKPOINT_FILE, everyMs: config.CHECKPOINT_EVERY_MS, log }),
  );
  stack.use(
    bus.consumer({
      groupId: config.CONSUMER_GROUP,
      topics: [config.AUDIT_TOPIC],
      maxBatchRecords: config.BATCH_RECORDS,
      maxBatchBytes: config.BATCH_BYTES,
      concurrency: config.CONCURRENCY,
      batch: async (batch) => {
        await ingest(parts, batch);
      },
      onFatal: overrides.onFatal ?? endProcess,
    }),
  );
  const opened = stack.move();
  return { address: server.address, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** As an uncaught error, which ends the process in order (see runProcess). */
function endProcess(error: Error): void {
  setImmediate(() => {
    throw error;
  });
}
