import { isUnavailable } from '@biz/errors';
import { createRelay, type EventDocument, type EventStore, startWorker } from '@biz/eventstore';
import type { Keyring } from '@biz/sealing';
import { askedOnce, failSpan, gauge, inTraceOf, type Span, traced } from '@biz/telemetry';
import type { Directory } from './directory.ts';
import { KeycloakRefusal } from './keycloak.ts';
import type { SyncDocument, SyncQueue } from './sync-queue.ts';
import { usersConcerned, wantedUser } from './wanted.ts';

/** The mark of events whose users are in the queue for Keycloak. */
export const syncMark = 'synced_at';

export type SyncOptions = {
  readonly store: EventStore;
  readonly keyring: Pick<Keyring, 'open'>;
  readonly directory: Directory;
  readonly queue: SyncQueue;
  readonly log: SyncLog;
  /** How often to look for work of other processes, in milliseconds. */
  readonly pollMs?: number;
  /** Longest pause while Keycloak is away, in milliseconds. */
  readonly maxBackoffMs?: number;
  /** How often all users are told anew, in milliseconds: mends what was changed, or lost, in Keycloak. Never when not given. */
  readonly resyncMs?: number;
};

export type SyncLog = { warn(details: object, message: string): void };

/** Users told at the same time. */
const inParallel = 4;
const batchSize = 100;

/**
 * Keeps Keycloak in step. A relay puts the users that each event concerns into a durable queue and marks the event; a worker tells Keycloak
 * the present state of each. Keycloak away: everything waits. Keycloak refuses one user: that one waits, the others go on.
 */
export function startSync(options: SyncOptions): AsyncDisposable {
  const { store, queue, log } = options;
  const { pollMs = 500, maxBackoffMs = 30_000 } = options;
  const askForAll = createResync(options);
  const work = async (stopping: AbortSignal) => {
    await askForAll();
    return tellDue(options, stopping);
  };
  const worker = startWorker({ db: store.db, lease: 'keycloak', work, pollMs, maxBackoffMs, log });
  const relay = createRelay({
    store,
    mark: syncMark,
    span: 'relay keycloak',
    log,
    deliver: async (batch) => {
      const users = await concerned(store, batch);
      await queue.add([...users.keys()], users);
      worker.wake();
    },
  });
  const watch = watchQueue(queue);
  return {
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]();
      await relay.stop();
      await worker[Symbol.asyncDispose]();
    },
  };
}

/** Asks for all users when that is due; looks whether it is at most once a minute. */
function createResync({ store, queue, resyncMs }: SyncOptions): () => Promise<void> {
  let lookAt = 0;
  return async () => {
    if (resyncMs === undefined || performance.now() < lookAt) return;
    lookAt = performance.now() + Math.min(60_000, resyncMs);
    if (await queue.resyncedWithin(resyncMs)) return;
    const ids: string[] = [];
    for await (const { _id } of store.current.find({ entity_type: 'user' }, { projection: { _id: 1 } })) {
      ids.push(_id);
      if (ids.length === batchSize) await queue.addMissing(ids.splice(0));
    }
    await queue.addMissing(ids);
    await queue.resynced();
  };
}

/** The users, each with the `traceparent` of the last event that concerns it. */
async function concerned(store: EventStore, batch: readonly EventDocument[]): Promise<Map<string, string>> {
  const users = new Map<string, string>();
  for (const event of batch) for (const id of await usersConcerned(store, store.upcast(event))) users.set(id, event.meta.traceparent);
  return users;
}

/** Lets every collection of metrics ask what waits for Keycloak, once for both gauges. */
function watchQueue(queue: SyncQueue): Disposable {
  const asked = askedOnce(() => queue.waiting());
  const stack = new DisposableStack();
  stack.use(gauge('biz.identity.keycloak_sync.waiting', async () => [{ value: (await asked()).count }]));
  stack.use(gauge('biz.identity.keycloak_sync.oldest', async () => [{ value: (await asked()).oldest_s }]));
  return stack;
}

/** Tells what is due; true when there was anything. Throws when Keycloak (or the database) is away. */
async function tellDue(options: SyncOptions, stopping: AbortSignal): Promise<boolean> {
  const entries = await options.queue.due(batchSize);
  const rest = [...entries];
  const failures: unknown[] = [];
  const tellNext = async () => {
    for (let entry = rest.shift(); entry && failures.length === 0 && !stopping.aborted; entry = rest.shift()) {
      await tell(options, entry).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: inParallel }, tellNext));
  if (failures.length) throw failures[0];
  return entries.length > 0;
}

/** In the trace of the event that asked for it last; a resync of all users begins one for each. */
function tell(options: SyncOptions, entry: SyncDocument): Promise<void> {
  return traced('keycloak sync', { parent: entry.traceparent }, (span) => tellOne(options, entry, span));
}

async function tellOne({ store, keyring, directory, queue, log }: SyncOptions, entry: SyncDocument, span: Span): Promise<void> {
  try {
    const wanted = await wantedUser(store, keyring, entry._id);
    if (wanted && 'absent' in wanted) await directory.removeUser(wanted.absent);
    else if (wanted) await directory.ensureUser(wanted.present);
    await queue.done(entry);
  } catch (error) {
    if (isUnavailable(error)) throw error;
    failSpan(span, error);
    const reason = error instanceof KeycloakRefusal ? error.reason : 'internal error';
    const { trace_id } = inTraceOf(entry.traceparent, (trace) => trace);
    const details = { err: error, user_id: entry._id, attempts: entry.attempts + 1, ...(trace_id !== undefined && { trace_id }) };
    log.warn(details, 'Keycloak does not take a user; trying again later');
    await queue.refused(entry, reason);
  }
}
