/** How grave an event is. */
export type Severity = 'INFO' | 'WARNING' | 'ERROR' | 'CRITICAL';

/** A security event as it is kept, the same in every storage. Personal values are sealed tokens (@biz/sealing) or null. */
export interface StoredEvent {
  /** At most 200 characters: a longer id of a foreign producer is its digest (see `keyText`), as are the other ids. */
  event_id: string;
  occurred_at: Date;
  received_at: Date;
  /** The users' names: `LOGIN_FAILED`. */
  event_type: string;
  severity: Severity;
  user_id: string | null;
  company_id: string | null;
  client_id: string | null;
  user_email: string | null;
  ip: string | null;
  /** Keyed blind index of the address, under the key of no company. */
  ip_index: string | null;
  user_agent: string | null;
  resource: string | null;
  action: string | null;
  request_id: string | null;
  trace_id: string | null;
  success: boolean;
  error_message: string | null;
  /** JSON text of an object. */
  details: string;
  count: number;
  first_at: Date;
  last_at: Date;
  /** Its personal values were removed. */
  anonymized: boolean;
}

/** What all given filters let through; times are `occurred_at`, `from` inclusive and `to` exclusive. */
export interface EventQuery {
  user_id?: string;
  /** Events of any of these; none of them (an empty list) finds nothing, and events of no company are found only without this filter. */
  company_ids?: readonly string[];
  event_type?: string;
  severity?: Severity;
  ip_index?: string;
  from?: Date;
  to?: Date;
}

export interface PageRequest {
  /** From 1. */
  size: number;
  /** `next` of the page before. */
  after?: string;
  /** The search may take so long; AppError `timeout` past it. */
  deadline?: Date;
}

export interface EventPage {
  /** Newest first (`occurred_at`, then `event_id`, both descending), each event once. */
  items: StoredEvent[];
  /** Where the next page begins; absent on the last one. It names a place, so that events that come meanwhile shift nothing. */
  next?: string;
}

/** What loses its personal values: events before a time, or those of a user. */
export type Anonymization = { before: Date } | { user_id: string };

/** An event that a storage will never take, and why. */
export interface Refusal {
  event_id: string;
  reason: string;
}

/** Where security events are kept. Every error that is not the caller's means that the engine is away; nothing is half kept then for good. */
export interface AuditLogStorage extends AsyncDisposable {
  readonly name: string;
  /**
   * Keeps events, durable when it resolves. An event id that is there already stays as it is: how often it is saved makes no difference to what
   * `find` gives. After a rejection any part may be kept; saving the same again completes it. Gives the events that this engine will never take
   * (CloudWatch: too old), normally none.
   */
  save(events: readonly StoredEvent[]): Promise<readonly Refusal[]>;
  find(query: EventQuery, page: PageRequest): Promise<EventPage>;
  /**
   * Removes `user_email`, `ip`, `ip_index` and `user_agent` for good, and gives the number of events that had not been anonymized before. A
   * repetition changes nothing. Events saved later are not touched.
   */
  anonymize(what: Anonymization): Promise<number>;
}
