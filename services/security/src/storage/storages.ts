import { AppError } from '@biz/errors';
import type { Worker } from '@biz/eventstore';
import { askedOnce, gauge } from '@biz/telemetry';
import type { Db } from 'mongodb';
import { openBacklog, type StorageState } from './backlog.ts';
import { type ForwardLog, startForwarder } from './forward.ts';
import { openMongoStorage } from './mongodb.ts';
import type { Anonymization, AuditLogStorage, EventPage, EventQuery, PageRequest, StoredEvent } from './port.ts';

/** All storages that are on: MongoDB, which has every event first, and the others, which get theirs from it. */
export interface Storages extends AsyncDisposable {
  /** Resolves when MongoDB has them; the others follow by themselves. */
  save(events: readonly StoredEvent[]): Promise<void>;
  /** Reads the storage that is chosen for queries; AppError `unavailable` when it is away. */
  find(query: EventQuery, page: PageRequest): Promise<EventPage>;
  /** Number of events in MongoDB; noted first, so that the other storages anonymize theirs, and MongoDB too after a crash in between. */
  anonymize(what: Anonymization): Promise<number>;
  /** How each does, MongoDB first. */
  states(): Promise<(StorageState & { queried: boolean })[]>;
}

export interface StoragesOptions {
  readonly db: Db;
  /** Storages beside MongoDB, by name. */
  readonly others: Readonly<Record<string, () => Promise<AuditLogStorage>>>;
  /** Name of the one that queries read. */
  readonly queried: string;
  readonly batch: number;
  readonly maxBackoffMs: number;
  readonly log: ForwardLog;
  readonly pollMs?: number;
}

/** Opens MongoDB and starts a forwarder for each of the others. Throws when MongoDB is away; the others may be. */
export async function openStorages(options: StoragesOptions): Promise<Storages> {
  const { db, others, queried } = options;
  const names = Object.keys(others);
  const primary = await openMongoStorage(db, names);
  const backlog = await openBacklog(db, names);
  await using stack = new AsyncDisposableStack();
  stack.use(primary);
  const opened = new Map<string, () => Promise<AuditLogStorage>>([[primary.name, async () => primary]]);
  for (const [name, open] of Object.entries(others)) opened.set(name, kept(stack, open));
  const workers: Worker[] = [];
  for (const [name, open] of opened) workers.push(stack.use(startForwarder({ ...options, backlog, primary, name, open })));
  const wake = () => {
    for (const worker of workers) worker.wake();
  };
  const reading = opened.get(queried);
  if (!reading) throw new Error(`queries are to read "${queried}", which is not on`);
  const states: Storages['states'] = () =>
    Promise.all([...opened.keys()].map(async (name) => ({ ...(await backlog.state(name)), queried: name === queried })));
  const asked = askedOnce(states);
  stack.use(
    gauge('biz.security.storage.waiting', async () =>
      (await asked()).map(({ name, waiting }) => ({ value: waiting, attributes: { 'biz.storage': name } })),
    ),
  );
  const closing = stack.move();
  return {
    async save(events) {
      await primary.save(events);
      wake();
    },
    async find(query, page) {
      const storage = await reading().catch((cause: unknown) => {
        throw new AppError('unavailable', 'The storage of security events is away.', { cause });
      });
      return storage.find(query, page);
    },
    async anonymize(what) {
      const id = await backlog.anonymize([...opened.keys()], what);
      const count = await primary.anonymize(what);
      await backlog.anonymized(primary.name, id);
      wake();
      return count;
    },
    states,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Opens once, and again after a failure; what was opened is closed with the others, after the forwarders. */
function kept(stack: AsyncDisposableStack, open: () => Promise<AuditLogStorage>): () => Promise<AuditLogStorage> {
  let storage: Promise<AuditLogStorage> | undefined;
  stack.defer(async () => {
    await (await storage?.catch(() => undefined))?.[Symbol.asyncDispose]();
  });
  return () => {
    storage ??= open().catch((error: unknown) => {
      storage = undefined;
      throw error;
    });
    return storage;
  };
}
