import type { Signer } from '@biz/merkle';
import type { Db } from 'mongodb';
import type { Collections } from '../collections.ts';
import { checkCompleteness, type Reconciler } from '../completeness/index.ts';
import type { AuditConfig } from '../config.ts';
import { verifyInWorker } from './in-worker.ts';
import type { CompletenessVerdict, VerificationParts } from './verifications.ts';

/** Open findings that a verification keeps. */
const MOST_FINDINGS = 10_000;
const BEATS_TO_STALE = 10;
/** Progress is written with a beat, and somebody may be watching it. */
const LONGEST_BEAT_MS = 2_000;

/** What verifications need, from the settings. Of the key only its public half goes along. */
export function verificationParts(
  config: AuditConfig,
  parts: { db: Db; collections: Collections; reconciler: Reconciler; signerOf: (logId: string) => Signer; log: VerificationParts['log'] },
): VerificationParts {
  const { db, collections, reconciler, signerOf, log } = parts;
  const staleMs = config.VERIFICATION_STALE_SECONDS * 1_000;
  const input = {
    mongodb_url: config.MONGODB_URL,
    database: config.MONGODB_DATABASE,
    checkpoint_file: config.CHECKPOINT_FILE,
    origin: config.CHECKPOINT_ORIGIN,
    public_key: signerOf('key').publicKey,
    settle_ms: config.VERIFICATION_SETTLE_SECONDS * 1_000,
  };
  return {
    verifications: collections.verifications,
    leases: db.collection('leases'),
    integrity: (options) => verifyInWorker(input, options),
    completeness: (signal) => completenessOf(collections, reconciler, signal),
    beatMs: Math.min(staleMs / BEATS_TO_STALE, LONGEST_BEAT_MS),
    staleMs,
    log,
  };
}

async function completenessOf(collections: Collections, reconciler: Reconciler, signal: AbortSignal): Promise<CompletenessVerdict> {
  const { services } = await checkCompleteness({ collections, reconciler }, { scope: 'all', signal });
  const open = await collections.findings
    .find({ status: 'open' }, { projection: { kind: 1, company_id: 1 } })
    .limit(MOST_FINDINGS)
    .toArray();
  return {
    compared: services.every(({ state }) => state === 'compared' || state === 'not_offered'),
    services,
    findings: open.map(({ _id, kind, company_id }) => ({ id: _id, kind, company_id })),
  };
}
