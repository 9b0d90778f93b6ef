import { randomUUID } from 'node:crypto';
import { createBus } from '@biz/bus';
import { producerName } from '@biz/envelope';
import { createOutbox } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { openFoundation } from '@biz/resource';
import { kafkaConnection, type Log, type RunningService } from '@biz/service';
import { openAlerts } from './alerts/alerts.ts';
import { toldMark } from './alerts/deliver.ts';
import type { Config } from './config.ts';
import { startConsumer } from './consumer.ts';
import { openCounts } from './counters/counts.ts';
import { securityModels } from './models.ts';
import { alertsIn } from './report/alerts.ts';
import { createHandlers, services } from './rpc.ts';
import { otherStorages } from './storage/config.ts';
import { storageSink } from './storage/sink.ts';
import { openStorages } from './storage/storages.ts';
import { openStreaming } from './stream/open.ts';

/** Builds and starts the service; disposing the answer ends it. Kafka and every storage but MongoDB may be away. */
export async function startSecurity(config: Config, log: Log): Promise<RunningService> {
  const contract = loadContract();
  const foundation = await openFoundation({ name: 'security', config, contract, log, models: securityModels(contract), marks: [toldMark] });
  const { keyring, store } = foundation;
  const storages = foundation.use(
    await openStorages({
      ...{ db: store.db, others: otherStorages(config), queried: config.SECURITY_QUERY_STORAGE, log },
      batch: config.FORWARD_BATCH,
      maxBackoffMs: config.FORWARD_MAX_PAUSE_MS,
    }),
  );
  const bus = foundation.use(createBus({ ...kafkaConnection(config), clientId: 'security', log }));
  const outbox = foundation.use(
    await createOutbox({
      db: store.db,
      collection: 'handed_over',
      producer: bus.producer(),
      topic: config.AUDIT_TOPIC,
      identity: { service: producerName('security'), instance: randomUUID() },
      environment: config.ENVIRONMENT,
      keepDays: config.OUTBOX_KEEP_DAYS,
      log,
    }),
  );
  const streaming = foundation.use(await openStreaming(store, config, contract, log));
  const alerts = await openAlerts(foundation, { contract, config, log });
  startConsumer({
    ...{ bus, topic: config.AUDIT_TOPIC, groupId: config.CONSUMER_GROUP },
    ...{ maxBatchRecords: config.BATCH_RECORDS, concurrency: config.CONCURRENCY },
    // the stream after the storage: what it names can be read
    sinks: [storageSink(keyring, storages), streaming.entries.sink(() => streaming.hub.wake()), alerts.sink],
    // ends the process, which is started again clean (runProcess of @biz/service)
    onFatal: (error) =>
      setImmediate(() => {
        throw error;
      }),
  });
  const own = { keyring, storages, outbox, streaming, counts: openCounts(store.db), alertSummary: alertsIn(store) };
  return foundation.serve(services, createHandlers({ ...own, ...alerts }));
}
