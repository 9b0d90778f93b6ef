import type { JsonObject } from '@biz/json';
import type { Collections } from '../collections.ts';
import type { Scope } from '../query/scope.ts';
import { presentFinding } from './finding.ts';
import { countOpen, listFindings } from './findings.ts';
import type { Reconciler, ServiceVerdict } from './reconciler.ts';

export { type Reconciler, type ServiceVerdict, startReconciler } from './reconciler.ts';
export { startTelling } from './tell.ts';

/** The verdict on completeness: what the audit lacks, or has too much. */
export interface Completeness {
  /** Every service that keeps events was compared to the end, and no finding is open. */
  ok: boolean;
  /** Open findings in the scope. */
  open: number;
  /** The newest of them, up to 100, as `biz.audit.v1.Finding`. */
  findings: JsonObject[];
  /** How the comparison went, service by service; one that could not be asked is never passed over. */
  services: ServiceVerdict[];
}

const MOST_SHOWN = 100;
const LONGEST_MS = 6_000;

/** Compares the audit with every service now, and tells what is open within `scope`. Rejects when the audit's own database is away. */
export async function checkCompleteness(
  parts: { collections: Collections; reconciler: Pick<Reconciler, 'reconcile'> },
  options: { scope: Scope; signal?: AbortSignal },
): Promise<Completeness> {
  const { collections, reconciler } = parts;
  const services = await reconciler.reconcile(options.signal);
  const [open, page] = await Promise.all([
    countOpen(collections, options.scope),
    listFindings(collections, options.scope, { status: 'open', page_size: MOST_SHOWN }, new Date(Date.now() + LONGEST_MS)),
  ]);
  const all = services.every(({ state }) => state === 'compared' || state === 'not_offered');
  return { ok: all && open === 0, open, findings: page.findings.map(presentFinding), services };
}
