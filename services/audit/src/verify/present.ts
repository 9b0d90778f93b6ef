import { indexKey } from '../keys.ts';
import type { Scope } from '../query/scope.ts';
import type { Finding } from './findings.ts';
import { sentenceOf } from './sentences.ts';
import type { CompletenessVerdict, VerificationDocument } from './verifications.ts';
import type { VerifyResult } from './verify.ts';

/** Findings of completeness in one answer. */
const MOST_SHOWN = 100;

/** As a message of the contract. Integrity is about all logs and shows places only; completeness is what lies in the scope of the caller. */
export function presentVerification(document: VerificationDocument, scope: Scope): object {
  const { _id, status, progress, started_at, ended_at, integrity, completeness, error } = document;
  return {
    id: _id,
    status,
    progress,
    started_at: started_at.toISOString(),
    ...(ended_at && { ended_at: ended_at.toISOString() }),
    ...(error !== null && { error }),
    ...(integrity && { integrity: integrityOf(integrity) }),
    ...(completeness && { completeness: completenessOf(completeness, scope) }),
  };
}

function integrityOf({ ok, checked, entities, logs, first_bad, findings, findings_total }: VerifyResult): object {
  return {
    ok,
    checked,
    entities,
    logs: logs.map(({ outside, ...log }) => ({ ...log, outside_checkpoints: outside })),
    ...(first_bad && { first_bad: faultOf(first_bad) }),
    faults: findings.map(faultOf),
    fault_count: findings_total,
  };
}

function faultOf(finding: Finding): object {
  const { reason, log_id, leaf_index, leaf_to, record_id, expected, found } = finding;
  return {
    reason,
    log_id,
    detail: sentenceOf(finding),
    detail_pt: sentenceOf(finding, 'pt-BR'),
    ...(leaf_index !== null && { leaf_index }),
    ...(leaf_to !== undefined && { leaf_to }),
    ...(record_id !== null && { record_id }),
    ...(expected !== undefined && { expected }),
    ...(found !== undefined && { found }),
  };
}

function completenessOf({ compared, services, findings }: CompletenessVerdict, scope: Scope): object {
  const companies = scope === 'all' ? undefined : new Set(scope.map(indexKey));
  const own = findings.filter(({ company_id }) => companies === undefined || (company_id !== null && companies.has(company_id)));
  return { ok: compared && own.length === 0, services, findings: own.slice(0, MOST_SHOWN).map(({ id, kind }) => ({ id, kind })) };
}
