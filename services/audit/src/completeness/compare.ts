import type { Head } from '@biz/reconciliation';

/** What the audit knows of a head's entity. */
export interface Known {
  /** Version of the record of the newest settled event; undefined without a record. */
  eventVersion: number | undefined;
  /** Newest version of the entity; 0 without one. It may be behind the records, never ahead. */
  entityVersion: number;
}

/**
 * Whether the audit may lack events of an entity, or have some that its service does not. Versions of records have no gaps, so with the newest
 * settled event recorded at its version or above, as many records precede it as events do. What is still on its way is never looked at.
 */
export function judge(head: Head, known: Known): { behind: boolean; ahead: boolean } {
  const recorded = known.eventVersion === undefined ? 0 : Math.max(known.eventVersion, known.entityVersion);
  return { behind: recorded < head.settled_version, ahead: known.entityVersion > head.version };
}

/** Whether records that name these versions are all of 1..n, each once: then nothing of the producer is missing, whatever the order was. */
export function namesAll(versions: readonly (number | undefined)[]): boolean {
  const named = new Set(versions.filter((version) => version !== undefined && version >= 1 && version <= versions.length));
  return named.size === versions.length;
}

/** How long an event that was published again is waited for: the grace, then twice as long each time, an hour at most. */
export function patience(graceMs: number, republishCount: number): number {
  return Math.min(Math.max(graceMs, 1_000) * 2 ** Math.min(republishCount - 1, 30), 3_600_000);
}
