import { askedOnce, gauge } from '@biz/telemetry';
import type { Collections } from '../collections.ts';
import type { FindingKind } from './finding.ts';

const kinds: readonly FindingKind[] = ['missing_event', 'unknown_to_service', 'version_differs'];
/** More are counted as this many. */
const MOST_COUNTED = 10_000;

/** Lets every collection of metrics count the findings that are open. */
export function watchFindings({ findings }: Pick<Collections, 'findings'>): Disposable {
  const asked = askedOnce(() =>
    Promise.all(kinds.map((kind) => findings.countDocuments({ status: 'open', kind }, { limit: MOST_COUNTED }))),
  );
  return gauge('biz.audit.findings.open', async () =>
    (await asked()).map((value, at) => ({ value, attributes: { 'biz.finding.kind': kinds[at] as FindingKind } })),
  );
}
