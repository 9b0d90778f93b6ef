import { randomUUID } from 'node:crypto';
import { createEventStore, createRelay, type EventDocument, type EventStore, publishTo } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { reconciliationHandlers, reconciliationService } from '@biz/reconciliation';
import { createRpcServer } from '@biz/rpc';
import { engines, testDatabase } from '@biz/testing';
import { MongoClient } from 'mongodb';
import type { AuditHarness } from './harness.ts';

export interface Team extends AsyncDisposable {
  /** Where it listens, as SERVICE_ADDRESSES wants it. */
  address: string;
  store: EventStore;
  /** Changes a team so many times more; gives the ids of the new events. */
  change(entityId: string, times: number, companyId?: string | null): Promise<string[]>;
  /** The message of this version is lost by Kafka, so many times, though the relay marks it as published. */
  lose(entityId: string, version: number, times: number): void;
  /** Whether the relay may send. */
  hold(held: boolean): void;
}

/**
 * A service `team` of the fleet's own kind, in this process: an event store, a relay to the audit's topic, and the comparison offered over gRPC
 * with a certificate. What Kafka loses is lost between the relay and the broker.
 */
export async function teamService(audit: AuditHarness): Promise<Team> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await testDatabase('team'));
  const client = await new MongoClient(engines().mongodbUrl, { writeConcern: { w: 'majority', journal: true } }).connect();
  stack.defer(() => client.close());
  const store = createEventStore({ db: client.db(database.name) });
  await store.ensureIndexes();
  const publish = publishTo(audit.bus.producer(), audit.topic, { service: 'team_service', instance: randomUUID() });
  const losses = new Map<string, number>();
  let held = false;
  const isLost = ({ meta, version }: EventDocument) => {
    const key = `${meta.entity_id}/${version}`;
    const left = losses.get(key) ?? 0;
    losses.set(key, left - 1);
    return left > 0;
  };
  stack.use(
    createRelay({
      ...{ store, mark: 'published_at', pollMs: 20, maxBackoffMs: 50 },
      deliver: async (batch) => {
        if (held) throw new Error('Kafka is away');
        const kept = batch.filter((event) => !isLost(event));
        if (kept.length > 0) await publish(kept);
      },
    }),
  );
  const server = stack.use(
    await createRpcServer({
      ...{ contract: loadContract(), services: [reconciliationService], listen: '127.0.0.1:0', tls: audit.tls.tls('team') },
      handlers: reconciliationHandlers({
        events: store.events,
        producer_service: 'team_service',
        entity_types: ['team'],
        keeps_events: true,
      }),
      log: { error: () => undefined, info: () => undefined, debug: () => undefined },
    }),
  );
  const opened = stack.move();
  return {
    address: server.address,
    store,
    change: async (entityId, times, companyId = 'company-a') => {
      const ids: string[] = [];
      for (let n = 0; n < times; n += 1) {
        const { event } = await store.execute({ entityType: 'team', entityId, decide: (entity) => draft(entity?.version ?? 0, companyId) });
        ids.push(event?._id ?? '');
      }
      return ids;
    },
    lose: (entityId, version, times) => void losses.set(`${entityId}/${version}`, times),
    hold: (now) => {
      held = now;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function draft(version: number, company_id: string | null) {
  const owner = { owner_id: 'u-7', owner_ip: '203.0.113.7', owner_role: 'manager', owner_type: 'user' as const };
  const trace_id = '4bf92f3577b34da6a3ce929d0e0e4736';
  return {
    type: version === 0 ? 'team.created' : 'team.updated',
    data: { n: version + 1 },
    meta: {
      ...owner,
      ...{ company_id, client_id: null, ownership_id: company_id ?? 'platform', environment: 'test' },
      ...{ trace_id, traceparent: `00-${trace_id}-00f067aa0ba902b7-01` },
      action_type: version === 0 ? ('new' as const) : ('update' as const),
    },
  };
}
