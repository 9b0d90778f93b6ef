import { setTimeout as pause } from 'node:timers/promises';
import { isUnavailable } from '@biz/errors';
import { createLease, createRelay, type EventDocument, type EventStore, type Relay } from '@biz/eventstore';
import type { Keyring } from '@biz/sealing';
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
};

export type SyncLog = {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
};

/** Users told at the same time. */
const inParallel = 4;
const batchSize = 100;
const firstBackoffMs = 250;
const leaseMs = 5_000;

/**
 * Keeps Keycloak in step. A relay puts the users that each event concerns into a durable queue and marks the event; a worker tells Keycloak
 * the present state of each. Keycloak away: everything waits. Keycloak refuses one user: that one waits, the others go on.
 */
export function startSync(options: SyncOptions): AsyncDisposable {
  const { store, queue, log } = options;
  const worker = startWorker(options);
  const relay: Relay = createRelay({
    store,
    mark: syncMark,
    log,
    deliver: async (batch) => {
      await queue.add(await concerned(store, batch));
      worker.wake();
    },
  });
  return {
    async [Symbol.asyncDispose]() {
      await relay.stop();
      await worker.stop();
    },
  };
}

async function concerned(store: EventStore, batch: readonly EventDocument[]): Promise<string[]> {
  const users = new Set<string>();
  for (const event of batch) for (const id of await usersConcerned(store, event)) users.add(id);
  return [...users];
}

function startWorker(options: SyncOptions): { wake(): void; stop(): Promise<void> } {
  const { store, queue, log, pollMs = 1_000, maxBackoffMs = 30_000 } = options;
  // two workers would end well too (see SyncQueue.done), only with more work
  const lease = createLease({ db: store.db, name: 'keycloak', leaseMs });
  const stopping = new AbortController();
  let wake = () => {};

  async function run(): Promise<void> {
    let failures = 0;
    while (!stopping.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      try {
        const worked = (await lease.hold()) && (await lease.keep(() => tellDue(options, stopping.signal)));
        if (failures > 0) log.info({ failures }, 'Keycloak is back');
        failures = 0;
        if (!worked) await Promise.race([promise, sleep(pollMs, stopping.signal)]);
      } catch (error) {
        failures += 1;
        const waiting = await queue.size().catch(() => undefined);
        log.warn({ err: error, failures, ...waiting }, 'Keycloak could not be told; trying again');
        const ceiling = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(failures, 16));
        await sleep(ceiling / 2 + (Math.random() * ceiling) / 2, stopping.signal);
      }
    }
    await lease.release().catch(() => undefined);
  }

  const running = run();
  return {
    wake: () => wake(),
    async stop() {
      stopping.abort();
      wake();
      await running;
    },
  };
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

async function tell({ store, keyring, directory, queue, log }: SyncOptions, entry: SyncDocument): Promise<void> {
  try {
    const wanted = await wantedUser(store, keyring, entry._id);
    if (wanted && 'absent' in wanted) await directory.removeUser(wanted.absent);
    else if (wanted) await directory.ensureUser(wanted.present);
    await queue.done(entry);
  } catch (error) {
    if (isUnavailable(error)) throw error;
    const reason = error instanceof KeycloakRefusal ? error.reason : 'internal error';
    log.warn({ err: error, user_id: entry._id, attempts: entry.attempts + 1 }, 'Keycloak does not take a user; trying again later');
    await queue.refused(entry, reason);
  }
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}
