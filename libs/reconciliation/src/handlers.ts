import { AppError } from '@biz/errors';
import { type EventDocument, streamId } from '@biz/eventstore';
import type { Call, Handlers } from '@biz/rpc';
import type { Collection, Filter } from 'mongodb';
import { firstIdAt, type HeadEvent, headProjection, headsOfMixed, headsOfStreams, isSettled } from './heads.ts';
import { type EntityEvent, MOST_EVENTS, type StoreDescription } from './messages.ts';

/** The store that is offered to the audit. */
export interface ReconciliationSource extends StoreDescription {
  /** Documents of @biz/eventstore, with its index on stream and version. */
  events: Collection<EventDocument>;
  /** The relay publishes what is not marked; called when there is something. */
  republish?: () => void;
  now?: () => Date;
}

/** The process that may ask. */
const AUDITOR = 'audit';
/** Documents fetched at once: small ones, but no more than one batch of heads needs. */
const FETCH = 1_000;

/** Handlers of `biz.reconciliation.v1.ReconciliationService`. Any other caller than the audit's process is refused with `no_role`. */
export function reconciliationHandlers(source: ReconciliationSource): Handlers {
  const { events, now = () => new Date() } = source;
  const cutoffOf = (at: Date, { grace_ms = 0 }: { grace_ms?: number }) => new Date(at.getTime() - grace_ms);
  const known = async (ids: readonly string[]) =>
    (await events.find({ _id: { $in: [...ids] } }, { projection: { _id: 1 } }).toArray()).map(({ _id }) => _id);
  return {
    DescribeStore: async (_request: object, call: Call): Promise<StoreDescription> => {
      assertAuditor(call);
      const { producer_service, entity_types, keeps_events } = source;
      return { producer_service, entity_types, keeps_events };
    },
    async *ListHeads(request: { since?: string; grace_ms?: number }, call: Call) {
      assertAuditor(call);
      const asOf = now();
      const since = request.since ? { _id: { $gte: firstIdAt(new Date(request.since)) } } : undefined;
      const found = events
        .find(since ?? {}, { projection: headProjection, batchSize: FETCH })
        .sort(since ? { _id: 1 } : { stream_id: 1, version: 1 });
      const heads = since ? headsOfMixed : headsOfStreams;
      yield* heads(found as unknown as AsyncIterable<HeadEvent>, cutoffOf(asOf, request), asOf);
    },
    ListEntityEvents: async (request: EntityEventsRequest, call: Call): Promise<{ events: EntityEvent[] }> => {
      assertAuditor(call);
      const cutoff = cutoffOf(now(), request);
      const filter: Filter<EventDocument> = {
        stream_id: streamId(request.entity_type, request.entity_id),
        version: { $gt: request.after_version ?? 0 },
      };
      const page = events
        .find(filter, { projection: { version: 1, published_at: 1 } })
        .sort({ stream_id: 1, version: 1 })
        .limit(request.page_size || MOST_EVENTS);
      const found = await page.toArray();
      return { events: found.map((event) => ({ event_id: event._id, version: event.version, settled: isSettled(event, cutoff) })) };
    },
    FindEvents: async ({ event_ids }: { event_ids: string[] }, call: Call): Promise<{ event_ids: string[] }> => {
      assertAuditor(call);
      return { event_ids: await known(event_ids) };
    },
    RepublishEvents: async ({ event_ids }: { event_ids: string[] }, call: Call): Promise<{ event_ids: string[] }> => {
      assertAuditor(call);
      const ids = await known(event_ids);
      await events.updateMany({ _id: { $in: ids } }, { $set: { published_at: null } });
      source.republish?.();
      return { event_ids: ids };
    },
  };
}

interface EntityEventsRequest {
  entity_type: string;
  entity_id: string;
  after_version?: number;
  page_size?: number;
  grace_ms?: number;
}

function assertAuditor({ peer }: Call): void {
  if (peer !== AUDITOR) throw new AppError('no_role', 'Only the audit reconciles.');
}
