import type { Contract } from '@biz/protos';
import { type CallContext, createRpcClient, type TlsFiles } from '@biz/rpc';
import { type EntityEvent, type Head, type HeadBatch, MOST_EVENTS, reconciliationService, type StoreDescription } from './messages.ts';

/** One service's store as the audit asks it. Every method rejects with AppError; `unimplemented` when the service does not offer it. */
export interface ReconciliationClient extends Disposable {
  describe(signal?: AbortSignal): Promise<StoreDescription>;
  /** Newest events of all entities, or of those that changed since a time of the service's clock. */
  heads(request: { since?: string; graceMs: number }, signal?: AbortSignal): AsyncIterable<HeadBatch>;
  /** Up to 1,000 events after a version; fewer than that are the last ones. */
  entityEvents(
    request: { entityType: string; entityId: string; afterVersion: number; graceMs: number },
    signal?: AbortSignal,
  ): Promise<EntityEvent[]>;
  /** Which of these (at most 500) it has. */
  findEvents(eventIds: readonly string[], signal?: AbortSignal): Promise<Set<string>>;
  /** Has these (at most 500) published again; gives those that it has. */
  republish(eventIds: readonly string[], signal?: AbortSignal): Promise<Set<string>>;
}

/** A client of the process `process`; `caller` gives the context of each call. It connects at the first call. */
export function createReconciliationClient(options: {
  contract: Contract;
  process: string;
  address: string;
  tls: TlsFiles;
  caller: () => CallContext;
}): ReconciliationClient {
  const { contract, process, address, tls, caller } = options;
  const rpc = createRpcClient({ contract, service: reconciliationService, process, address, tls });
  const given = (signal: AbortSignal | undefined) => (signal ? { signal } : {});
  const ids = async (method: string, eventIds: readonly string[], signal: AbortSignal | undefined) => {
    const request = { event_ids: [...eventIds] };
    return new Set((await rpc.call<{ event_ids?: string[] }>(method, request, caller(), given(signal))).event_ids ?? []);
  };
  return {
    describe: async (signal) => {
      const answer = await rpc.call<Partial<StoreDescription>>('DescribeStore', {}, caller(), given(signal));
      return { producer_service: '', entity_types: [], keeps_events: false, ...answer };
    },
    async *heads({ since, graceMs }, signal) {
      const request = { grace_ms: graceMs, ...(since !== undefined && { since }) };
      const batches = rpc.stream<Partial<HeadBatch>>('ListHeads', request, caller(), given(signal));
      for await (const { heads = [], as_of = '', in_flight_since = '' } of batches)
        yield { heads: heads.map(headOf), as_of, in_flight_since };
    },
    entityEvents: async ({ entityType, entityId, afterVersion, graceMs }, signal) => {
      const request = {
        ...{ entity_type: entityType, entity_id: entityId },
        ...{ after_version: afterVersion, grace_ms: graceMs, page_size: MOST_EVENTS },
      };
      const { events = [] } = await rpc.call<{ events?: Partial<EntityEvent>[] }>('ListEntityEvents', request, caller(), given(signal));
      return events.map((event) => ({ event_id: '', version: 0, settled: false, ...event }));
    },
    findEvents: (eventIds, signal) => ids('FindEvents', eventIds, signal),
    republish: (eventIds, signal) => ids('RepublishEvents', eventIds, signal),
    [Symbol.dispose]: () => rpc[Symbol.dispose](),
  };
}

/** What the wire leaves out because it is zero, empty or false is there again. */
function headOf(head: Partial<Head>): Head {
  const none = { entity_type: '', entity_id: '', version: 0, last_event_id: '', last_event_at: '', published: false };
  return { ...none, settled_version: 0, settled_event_id: '', ...head };
}
