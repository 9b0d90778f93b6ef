import type { ReconciliationClient } from '@biz/reconciliation';
import type { Collections } from '../collections.ts';

/** What a comparison of one service's events with the audit's records works with. */
export interface PassParts {
  collections: Collections;
  /** Name of the service's process. */
  service: string;
  client: ReconciliationClient;
  /** What was published less than this ago is on its way. */
  graceMs: number;
  /** Most findings that one pass opens; the next one finds more. */
  mostFindings: number;
  /** Whether the audit has taken all that the topic held when it was asked. */
  caughtUp: (signal?: AbortSignal) => Promise<boolean>;
  now: () => Date;
  signal?: AbortSignal | undefined;
}
