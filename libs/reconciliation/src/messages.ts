/** Full name of the service in the contract. */
export const reconciliationService = 'biz.reconciliation.v1.ReconciliationService';

/** Most ids in one request, as the proto says. */
export const MOST_IDS = 500;
/** Most events of an entity in one answer, as the proto says. */
export const MOST_EVENTS = 1_000;

/** What kind of store a service has. */
export interface StoreDescription {
  /** As in the envelopes that it publishes. */
  producer_service: string;
  /** Kinds of entities that only this service has events of. */
  entity_types: string[];
  /** False: published events go after a while. */
  keeps_events: boolean;
}

/** The newest event of an entity, and the newest that is not on its way to the audit any more. */
export interface Head {
  entity_type: string;
  entity_id: string;
  /** Undefined for what belongs to no company. */
  company_id?: string;
  version: number;
  last_event_id: string;
  last_event_at: string;
  published: boolean;
  /** 0 while no event is settled. */
  settled_version: number;
  settled_event_id: string;
}

export interface HeadBatch {
  heads: Head[];
  /** When the list was begun, by the service's clock. */
  as_of: string;
  /** Time of the oldest event of this batch that is on its way; empty when none is. */
  in_flight_since: string;
}

export interface EntityEvent {
  event_id: string;
  version: number;
  settled: boolean;
}
