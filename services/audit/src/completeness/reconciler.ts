import { AppError } from '@biz/errors';
import { startWorker } from '@biz/eventstore';
import type { Contract } from '@biz/protos';
import { createReconciliationClient, type ReconciliationClient } from '@biz/reconciliation';
import { serviceContext, type TlsFiles } from '@biz/rpc';
import { traceContext } from '@biz/service';
import { counter } from '@biz/telemetry';
import type { Db } from 'mongodb';
import type { Collections } from '../collections.ts';
import { type HealParts, healMissing, healUnknown, healVersions } from './heal.ts';
import { watchFindings } from './open-findings.ts';
import { comparePass, type PassResult } from './pass.ts';
import type { PassParts } from './pass-parts.ts';

const comparisons = counter('biz.audit.comparisons');

export interface ReconcilerParts {
  db: Db;
  collections: Collections;
  contract: Contract;
  /** Where the services are, by process. */
  addresses: Readonly<Record<string, string>>;
  tls: TlsFiles;
  /** How often what has changed is compared, and how often everything, in ms. */
  everyMs: number;
  fullEveryMs: number;
  graceMs: number;
  /** Most findings that one pass over a service opens. */
  mostFindings: number;
  caughtUp: PassParts['caughtUp'];
  log: {
    error(fields: object, message: string): void;
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  now?: () => Date;
}

/** How the comparison with one service ended. */
export interface ServiceVerdict {
  service: string;
  /**
   * `unreachable`: it could not be asked, or not to the end. `undecided`: events may be missing or still on the topic, which the audit
   * has not read to its end. `not_offered`: it keeps no events.
   */
  state: 'compared' | 'unreachable' | 'undecided' | 'not_offered';
  /** Why it is not `compared`. */
  reason?: string;
  /** Entities compared. */
  heads: number;
}

export interface Reconciler extends AsyncDisposable {
  /** Compares everything now, in this process, whoever has the lease. Rejects when the audit's own database is away. */
  reconcile(signal?: AbortSignal): Promise<ServiceVerdict[]>;
}

/** What is remembered of a service between passes; without it everything is compared. */
interface Progress {
  since: string;
  fullAt: number;
}

/** The worker that compares the audit with every service, of which one is active, and the comparison on demand. */
export function startReconciler(parts: ReconcilerParts): Reconciler {
  const { db, collections, log, now = () => new Date() } = parts;
  const clients = new Map(
    Object.entries(parts.addresses).map(([process, address]) => [
      process,
      createReconciliationClient({
        ...{ contract: parts.contract, process, address, tls: parts.tls },
        caller: () => serviceContext('audit', traceContext()),
      }),
    ]),
  );
  const progress = new Map<string, Progress>();
  let versionsFrom = '';

  async function round(everything: boolean, signal: AbortSignal | undefined): Promise<ServiceVerdict[]> {
    const verdicts: ServiceVerdict[] = [];
    for (const [service, client] of clients) {
      signal?.throwIfAborted();
      const verdict = await one(service, client, everything, signal);
      comparisons.add(1, { 'biz.peer': service, 'biz.comparison.state': verdict.state });
      verdicts.push(verdict);
    }
    versionsFrom = await healVersions(collections, versionsFrom, now);
    return verdicts;
  }

  async function one(service: string, client: ReconciliationClient, everything: boolean, signal: AbortSignal | undefined) {
    const known = progress.get(service);
    const full = everything || !known || known.since === '' || performance.now() - known.fullAt >= parts.fullEveryMs;
    const pass: PassParts & HealParts = { ...parts, service, client, now, signal };
    try {
      const begun = performance.now();
      const result = await comparePass(pass, full ? undefined : known.since);
      progress.set(service, { since: result.since, fullAt: full ? begun : known.fullAt });
      await healMissing(pass);
      await healUnknown(pass);
      return verdictOf(service, result);
    } catch (error) {
      return failed(service, error, signal);
    }
  }

  /** What a service did not answer; errors of the audit's own stores go on. */
  function failed(service: string, error: unknown, signal: AbortSignal | undefined): ServiceVerdict {
    signal?.throwIfAborted();
    if (!(error instanceof AppError)) throw error;
    if (error.code === 'unimplemented') return { service, state: 'not_offered', reason: 'It keeps no events.', heads: 0 };
    log.warn({ service, code: error.code, err: error }, 'the audit could not be compared with a service');
    return { service, state: 'unreachable', reason: `${error.code}: ${error.message}`, heads: 0 };
  }

  let last: Promise<unknown> = Promise.resolve();
  /** One after the other: two at once in one process would only do the same twice. */
  const inTurn = (everything: boolean, signal: AbortSignal | undefined): Promise<ServiceVerdict[]> => {
    const next = last.then(
      () => round(everything, signal),
      () => round(everything, signal),
    );
    last = next;
    return next;
  };
  // Services that are started together are not yet there at the first look.
  let first = true;
  const worker = startWorker({
    ...{ db, lease: 'reconciliation', pollMs: parts.everyMs, log },
    work: async (stopping) => {
      if (first) {
        first = false;
        return false;
      }
      await inTurn(false, stopping).catch((error: unknown) => {
        if (!stopping.aborted) throw error;
      });
      return false;
    },
  });
  const watch = watchFindings(collections);
  return {
    reconcile: (signal) => inTurn(true, signal),
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]();
      await worker[Symbol.asyncDispose]();
      await last.catch(() => undefined);
      for (const client of clients.values()) client[Symbol.dispose]();
    },
  };
}

function verdictOf(service: string, { heads, undecided }: PassResult): ServiceVerdict {
  if (undecided === 0) return { service, state: 'compared', heads };
  const reason = `${undecided} events have no record, and the audit has not read the topic to its end yet.`;
  return { service, state: 'undecided', reason, heads };
}
