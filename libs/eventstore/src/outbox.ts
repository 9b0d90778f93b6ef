import { AppError } from '@biz/errors';
import type { JsonObject } from '@biz/json';
import { tracedBatch } from '@biz/telemetry';
import { BSON, type Collection, type Db } from 'mongodb';
import { nextEventId, streamId } from './fold.ts';
import { insertMissing } from './inserts.ts';
import type { StoreLog } from './log.ts';
import { publishSpans, publishTo, type Sender } from './publish.ts';
import { createRelay, type RelaySource } from './relay.ts';
import type { ActionType, EventDocument } from './types.ts';

/** An event that a service tells of by itself, beside its entities: somebody read audit data, a login failed. */
export interface OwnEvent {
  /** Made when not given (UUIDv7). Given, a repetition with the same id changes nothing. Within an entity ids sort as versions do. */
  event_id?: string;
  /** `<entity_type>.<verb>`, for example `audit.read`. */
  type: string;
  entity_type: string;
  /** The event id when not given: then the event stands alone. */
  entity_id?: string;
  /** Of the entity, 1 when not given. One entity's events name theirs, one after the other. */
  version?: number;
  action_type: ActionType;
  company_id: string | null;
  /** None when not given. */
  client_id?: string | null;
  /** Whose data it is about; when not given the company's, and without one the entity's own. */
  ownership_id?: string;
  /** Payload. It is not sealed here, so nothing personal stands in it in clear. */
  data: JsonObject;
  /** Who told of it, `gateway_service`; this service when not given. */
  producer?: string;
  /** When it happened (RFC 3339); now when not given. */
  at?: string;
  /** Who did it, from where, in which trace; a call context will do. */
  context: Doer;
}

export interface Doer {
  readonly actor: { readonly id: string; readonly type: 'user' | 'service' };
  readonly role: string;
  /** In clear; the audit seals it. */
  readonly ip: string;
  readonly trace_id: string;
  readonly traceparent: string;
}

export interface Outbox extends AsyncDisposable {
  /**
   * Resolves when the events are durable; from then on they reach the topic, at least once, whatever happens. Calls that wait at the
   * same time share one insert. An event whose id (or entity and version) is there already counts as appended. AppError
   * `too_large`, or `unavailable` when they could not be written (some may be there nevertheless: it is safe to repeat with given ids).
   */
  append(events: readonly OwnEvent[]): Promise<void>;
}

export interface OutboxOptions {
  db: Db;
  /** `events` when not given. In a database where the event store has that one, another; the relay's lease has its name. */
  collection?: string;
  producer: Sender;
  topic: string;
  /** Name of the service in the envelope, and this process's UUID. */
  identity: { service: string; instance: string };
  environment: string;
  /** Days that a published event stays in the outbox; the record in the audit is what stays for good. */
  keepDays: number;
  log: StoreLog;
  /** How often the relay looks for events of other processes, in ms. */
  pollMs?: number;
}

const MOST_EVENT_BYTES = 512 * 1024;
/** Documents of one insert; what waits beyond goes with the next. */
const MOST_AT_ONCE = 500;

/**
 * An outbox for events that belong to no entity of the event store: a durable insert into the collection (the documents of this
 * library), relayed to the topic like any service's events. There is no `current`: an event is folded nowhere but in its record.
 */
export async function createOutbox(options: OutboxOptions): Promise<Outbox> {
  const { db, producer, topic, identity, log, collection = 'events' } = options;
  const events: Collection<EventDocument> = db.collection(collection, { writeConcern: { w: 'majority', journal: true } });
  await events.createIndexes([
    // One event a version, so that two processes with the same idea append one.
    { name: 'stream_version', key: { stream_id: 1, version: 1 }, unique: true },
    // The relay's way to what is not yet published.
    { name: 'unpublished', key: { published_at: 1, _id: 1 }, partialFilterExpression: { published_at: null } },
    // Published events go after a while; null is no time, so what is unpublished never does.
    { name: 'published_expiry', key: { published_at: 1 }, expireAfterSeconds: options.keepDays * 86_400 },
  ]);
  const listeners = new Set<() => void>();
  const source: RelaySource = {
    db,
    events,
    ensureCurrent: async () => 0,
    onAppend: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const batcher = createBatcher(async (documents) => {
    try {
      const traceparentOf = (index: number) => documents[index]?.meta.traceparent;
      // in no caller's span: the next group is written by the same loop, for others
      await tracedBatch('outbox append', { count: documents.length, traceparentOf }, () => insertMissing(events, documents));
    } catch (cause) {
      throw new AppError('unavailable', 'The events cannot be written at present; try again in a moment.', { cause });
    }
    for (const listener of listeners) listener();
  });
  const { pollMs } = options;
  const relay = createRelay({
    store: source,
    mark: 'published_at',
    lease: collection === 'events' ? 'outbox' : collection,
    deliver: publishTo(producer, topic, identity),
    ...publishSpans(topic),
    ...(pollMs !== undefined && { pollMs }),
    log,
  });
  return {
    append: async (given) => batcher.add(given.map((event) => ownEventDocument(event, options.environment))),
    async [Symbol.asyncDispose]() {
      await batcher.idle();
      await relay.stop();
    },
  };
}

/** The document of an event of one's own. AppError `too_large`. For whoever writes into an outbox that does not run: a restore. */
export function ownEventDocument(event: OwnEvent, environment: string): EventDocument {
  const { context, company_id } = event;
  const id = event.event_id ?? nextEventId(undefined);
  const entityId = event.entity_id ?? id;
  const document: EventDocument = {
    _id: id,
    stream_id: streamId(event.entity_type, entityId),
    version: event.version ?? 1,
    type: event.type,
    schema_version: '1.0',
    data: event.data,
    at: event.at ?? new Date().toISOString(),
    meta: {
      entity_type: event.entity_type,
      entity_id: entityId,
      action_type: event.action_type,
      company_id,
      client_id: event.client_id ?? null,
      ownership_id: event.ownership_id ?? company_id ?? entityId,
      owner_id: context.actor.id,
      owner_ip: context.ip,
      owner_role: context.role,
      owner_type: context.actor.type,
      trace_id: context.trace_id,
      traceparent: context.traceparent,
      environment,
    },
    ...(event.producer && { producer: event.producer }),
    published_at: null,
  };
  if (BSON.calculateObjectSize(document) > MOST_EVENT_BYTES) {
    throw new AppError('too_large', `An event may hold at most ${MOST_EVENT_BYTES} bytes.`);
  }
  return document;
}

interface Waiting {
  documents: EventDocument[];
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** One write at a time; whoever comes meanwhile goes together with the next. */
function createBatcher(write: (documents: EventDocument[]) => Promise<void>) {
  let waiting: Waiting[] = [];
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    while (waiting.length > 0) {
      const group = takeGroup();
      try {
        await write(group.flatMap(({ documents }) => documents));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    running = undefined;
  }

  function takeGroup(): Waiting[] {
    let count = 0;
    const end = waiting.findIndex(({ documents }, at) => {
      count += documents.length;
      return at > 0 && count > MOST_AT_ONCE;
    });
    const group = end < 0 ? waiting : waiting.slice(0, end);
    waiting = end < 0 ? [] : waiting.slice(end);
    return group;
  }

  return {
    add(documents: EventDocument[]): Promise<void> {
      if (documents.length === 0) return Promise.resolve();
      return new Promise((resolve, reject) => {
        waiting.push({ documents, resolve, reject });
        running ??= run();
      });
    },
    /** When all that was added is written or has failed. */
    idle: () => running ?? Promise.resolve(),
  };
}
