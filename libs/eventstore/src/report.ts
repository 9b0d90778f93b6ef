/** How many, and the ids of the first ones. */
export interface Sample {
  count: number;
  ids: string[];
}

/** What a rebuild found of one type of entity. */
export interface EntityReport {
  /** Compared: those whose events are whole. */
  entities: number;
  /** In `current` with other bytes than the fold. */
  differing: Sample;
  missing: Sample;
  /** In `current` without any event. */
  extra: Sample;
  /** Streams that lack an event before one that they have, or have one that this release cannot read; their state is left as it is. */
  incomplete: Sample;
}

export interface RebuildReport {
  /** Events read. */
  events: number;
  types: Record<string, EntityReport>;
  /** Unique values that their entity did not hold. */
  claims: number;
  /** Streams whose unique value another entity has as well; nobody but a person can say whose it is. */
  duplicates: Sample;
}

/** What a batch from the audit was, beside what is there. */
export interface RestoreReport {
  /** Envelopes read. */
  events: number;
  /** Inserted; with `dryRun` what would be. */
  missing: Sample;
  /** There with other content, or another event is in its version: left as it is. */
  differing: Sample;
  /** Not an event of this service. */
  refused: Sample;
  /** Inserted without the owner's address, which retention dropped. */
  without_address: number;
  /** Inserted without blind indexes, which went with the person's key. */
  erased: number;
}

const SAMPLE = 20;

export function noSample(): Sample {
  return { count: 0, ids: [] };
}

export function add(sample: Sample, id: string): void {
  sample.count += 1;
  if (sample.ids.length < SAMPLE) sample.ids.push(id);
}

export function emptyReport(): RebuildReport {
  return { events: 0, types: {}, claims: 0, duplicates: noSample() };
}

export function emptyRestoreReport(): RestoreReport {
  return { events: 0, missing: noSample(), differing: noSample(), refused: noSample(), without_address: 0, erased: 0 };
}

/** Adds what a further batch was. */
export function addRestored(sum: RestoreReport, more: RestoreReport): void {
  for (const name of ['events', 'without_address', 'erased'] as const) sum[name] += more[name];
  for (const name of ['missing', 'differing', 'refused'] as const) {
    sum[name].count += more[name].count;
    sum[name].ids.push(...more[name].ids.slice(0, SAMPLE - sum[name].ids.length));
  }
}
