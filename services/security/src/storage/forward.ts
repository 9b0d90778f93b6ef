import { startWorker, type Worker } from '@biz/eventstore';
import type { Db } from 'mongodb';
import type { Backlog } from './backlog.ts';
import type { AuditLogStorage } from './port.ts';

export interface ForwardOptions {
  readonly db: Db;
  readonly backlog: Backlog;
  readonly name: string;
  /** Opens the storage (migrations made); tried again as long as it fails. */
  readonly open: () => Promise<AuditLogStorage>;
  /** Where events come from; anonymized first, so that no later copy brings back what was removed. */
  readonly primary: AuditLogStorage;
  /** Events in one step. */
  readonly batch: number;
  readonly maxBackoffMs: number;
  readonly log: ForwardLog;
  readonly pollMs?: number;
}

export interface ForwardLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** Batches that are read at once: a server may walk all that waits for it. */
const BATCHES = 10;

/**
 * Brings to one storage, from MongoDB, what it does not have yet, and anonymizes it as MongoDB was. One process at a time does (a lease), each storage for
 * itself: one that is away is tried again with a growing pause and holds up nobody.
 */
export function startForwarder(options: ForwardOptions): Worker {
  const { db, backlog, name, log, maxBackoffMs, pollMs = 1_000 } = options;
  let failing = false;
  const work = async (stopping: AbortSignal) => {
    try {
      const more = await step(options, stopping);
      if (failing || more) failing = !(await backlog.recovered(name));
      return more;
    } catch (error) {
      if (!failing) log.error({ err: error, storage: name }, 'ALERT a storage of security events fails; events wait for it in MongoDB');
      failing = true;
      await backlog.failed(name, reasonOf(error)).catch(() => undefined);
      throw error;
    }
  };
  return startWorker({ db, lease: `storage:${name}`, work, pollMs, maxBackoffMs, log });
}

/** True when there may be more at once. */
async function step({ backlog, name, open, primary, batch, log }: ForwardOptions, stopping: AbortSignal): Promise<boolean> {
  const tasks = await backlog.anonymizations(name);
  const waiting = await backlog.waiting(name, batch * BATCHES);
  if (tasks.length === 0 && waiting.length === 0) return false;
  const storage = await open();
  for (const { id, what } of tasks) {
    if (stopping.aborted) return false;
    if (storage !== primary) await primary.anonymize(what);
    await storage.anonymize(what);
    await backlog.anonymized(name, id);
  }
  // what was read before an anonymization is read again
  if (tasks.length > 0) return true;
  for (let at = 0; at < waiting.length && !stopping.aborted; at += batch) {
    const events = waiting.slice(at, at + batch);
    const refused = await storage.save(events);
    for (const refusal of refused)
      log.error({ storage: name, ...refusal }, 'ALERT a storage will never take a security event; MongoDB has it');
    const ids = events.map(({ event_id }) => event_id);
    await backlog.done(name, ids, refused.length);
  }
  return waiting.length === batch * BATCHES;
}

/** A code or a name, never a message, which may hold an address or a part of the data. */
export function reasonOf(error: unknown): string {
  const { code, name, cause } = (error ?? {}) as { code?: unknown; name?: unknown; cause?: unknown };
  if (typeof code === 'string' || typeof code === 'number') return String(code).slice(0, 100);
  return cause === undefined ? String(name ?? 'Error').slice(0, 100) : reasonOf(cause);
}
