import { AppError, isUnavailable } from '@biz/errors';
import { isDuplicateKey } from '@biz/eventstore';
import { newId } from '@biz/service';
import { counter } from '@biz/telemetry';
import type { Collection } from 'mongodb';
import type { VerifyResult } from './verify.ts';

/** What the comparison with the services gave, and the findings that were open then: kinds and ids, nothing of what they are about. */
export interface CompletenessVerdict {
  /** Every service was compared to the end. */
  compared: boolean;
  services: { service: string; state: string; reason?: string; heads: number }[];
  findings: { id: string; kind: string; company_id: string | null }[];
}

/** A verification of the whole audit. */
export interface VerificationDocument {
  _id: string;
  status: 'running' | 'done' | 'failed';
  started_by: string;
  started_at: Date;
  ended_at: Date | null;
  /** When the process that runs it was last heard of. */
  beat_at: Date;
  progress: { checked: number; total: number };
  integrity: VerifyResult | null;
  completeness: CompletenessVerdict | null;
  /** Why it failed. */
  error: string | null;
}

/** The document of `leases` that names the newest verification: whoever sets it runs it. */
export interface VerificationLease {
  _id: string;
  holder: string | null;
  beat: number;
}

export interface VerificationParts {
  verifications: Collection<VerificationDocument>;
  leases: Collection<VerificationLease>;
  integrity(options: { onProgress: (progress: { checked: number; total: number }) => void; signal: AbortSignal }): Promise<VerifyResult>;
  completeness(signal: AbortSignal): Promise<CompletenessVerdict>;
  /** How often the process says that it is there, and after how long a silence it is taken for dead, in ms. */
  beatMs: number;
  staleMs: number;
  log: { error(fields: object, message: string): void; info(fields: object, message: string): void };
  now?: () => Date;
}

export interface Verifications extends AsyncDisposable {
  /** Starts one; when one is running, in whatever process, gives that one. */
  start(actor: string): Promise<VerificationDocument>;
  get(id: string): Promise<VerificationDocument | null>;
}

const MOST_TRIES = 5;
const LEASE = 'verification';

/**
 * Verifications, one at a time over all processes: a document names the newest, and it is only set when that one has ended. Its process says every few seconds that it is
 * there; one that fell silent is marked as failed by whoever looks, and what it may still find is not written any more. Disposing ends the one of this process.
 */
export function createVerifications(parts: VerificationParts): Verifications {
  const { verifications, leases, staleMs, now = () => new Date() } = parts;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  /** The document, marked as failed when its process is gone. */
  async function looked(document: VerificationDocument | null): Promise<VerificationDocument | null> {
    if (document?.status !== 'running' || now().getTime() - document.beat_at.getTime() < staleMs) return document;
    const change = {
      status: 'failed' as const,
      slot: document._id,
      ended_at: now(),
      error: 'The process that ran it is gone; start it again.',
    };
    await verifications.updateOne({ _id: document._id, status: 'running', beat_at: document.beat_at }, { $set: change });
    return verifications.findOne({ _id: document._id });
  }

  return {
    async start(actor) {
      for (let tries = 0; tries < MOST_TRIES; tries += 1) {
        const lease = await leases.findOne({ _id: LEASE });
        const newest = await looked(await verifications.findOne({ _id: lease?.holder ?? '' }));
        if (newest?.status === 'running') return newest;
        const document = fresh(actor, now());
        await verifications.insertOne(document);
        if (await take(leases, lease, document._id)) {
          running = run(parts, document._id, stopping.signal);
          return document;
        }
        // Somebody started one just now.
        await verifications.deleteOne({ _id: document._id });
      }
      throw new AppError('unavailable', 'Others start verifications at the same moment; try again.');
    },
    get: async (id) => looked(await verifications.findOne({ _id: id })),
    async [Symbol.asyncDispose]() {
      stopping.abort(new Error('The service stopped; start it again.'));
      await running;
    },
  };
}

/** False when somebody else did. */
async function take(leases: Collection<VerificationLease>, seen: VerificationLease | null, id: string): Promise<boolean> {
  if (seen !== null) {
    const { modifiedCount } = await leases.updateOne({ _id: LEASE, holder: seen.holder }, { $set: { holder: id }, $inc: { beat: 1 } });
    return modifiedCount === 1;
  }
  try {
    await leases.insertOne({ _id: LEASE, holder: id, beat: 0 });
    return true;
  } catch (error) {
    if (isDuplicateKey(error)) return false;
    throw error;
  }
}

function fresh(actor: string, at: Date): VerificationDocument {
  return {
    _id: newId(),
    status: 'running',
    started_by: actor,
    started_at: at,
    ended_at: null,
    beat_at: at,
    progress: { checked: 0, total: 0 },
    integrity: null,
    completeness: null,
    error: null,
  };
}

/** Never rejects: what goes wrong is the verification's own end. */
async function run(parts: VerificationParts, id: string, stopping: AbortSignal): Promise<void> {
  const { verifications, log, beatMs, now = () => new Date() } = parts;
  const displaced = new AbortController();
  const signal = AbortSignal.any([stopping, displaced.signal]);
  let progress = { checked: 0, total: 0 };
  const mine = { _id: id, status: 'running' as const };
  const beat = setInterval(() => {
    verifications.updateOne(mine, { $set: { beat_at: now(), progress } }).then(
      // Taken for dead while this process slept: another one may run by now.
      ({ matchedCount }) => matchedCount === 0 && displaced.abort(new Error('taken for dead')),
      () => undefined,
    );
  }, beatMs);
  try {
    const onProgress = (at: { checked: number; total: number }) => {
      progress = at;
    };
    const [integrity, completeness] = await Promise.all([parts.integrity({ onProgress, signal }), parts.completeness(signal)]);
    const ended = {
      status: 'done' as const,
      ended_at: now(),
      progress: { checked: integrity.checked, total: integrity.checked },
      integrity,
      completeness,
    };
    await verifications.updateOne(mine, { $set: ended });
    count(integrity.ok ? 'ok' : 'bad', verdictOf(completeness));
    if (integrity.ok) log.info({ verification: id, checked: integrity.checked }, 'the audit was verified');
    else log.error({ verification: id, first_bad: integrity.first_bad }, 'ALERT the audit was tampered with, or lost records');
  } catch (error) {
    log.error({ verification: id, err: error }, 'the verification failed');
    // Now: a stop that comes while this is being written is not why it failed.
    const stopped = stopping.aborted;
    const reason = stopped
      ? stopping.reason.message
      : isUnavailable(error)
        ? 'The database was away.'
        : 'It could not be finished; the log says why.';
    const failed = { status: 'failed' as const, ended_at: now(), error: reason };
    // Without a database it stays as it is, and is marked by whoever looks next.
    await verifications.updateOne(mine, { $set: failed }).catch(() => undefined);
    if (!stopped) count('failed', 'failed');
  } finally {
    clearInterval(beat);
  }
}

const verdicts = counter('biz.audit.verifications');

function count(integrity: 'ok' | 'bad' | 'failed', completeness: 'ok' | 'findings' | 'incomplete' | 'failed'): void {
  verdicts.add(1, { 'biz.verification.kind': 'integrity', 'biz.verification.result': integrity });
  verdicts.add(1, { 'biz.verification.kind': 'completeness', 'biz.verification.result': completeness });
}

/** Findings weigh more than a service that could not be asked. */
function verdictOf({ compared, findings }: CompletenessVerdict): 'ok' | 'findings' | 'incomplete' {
  if (findings.length > 0) return 'findings';
  return compared ? 'ok' : 'incomplete';
}
