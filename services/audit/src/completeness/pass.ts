import type { Head } from '@biz/reconciliation';
import { judge } from './compare.ts';
import { missingEvent } from './finding.ts';
import { openFindings } from './findings.ts';
import { keyOf, knownOf, withoutRecord } from './known.ts';
import type { PassParts } from './pass-parts.ts';
import { findUnknown, findUnknownEntities } from './unknown.ts';

export interface PassResult {
  /** Entities compared. */
  heads: number;
  /** Findings opened. */
  found: number;
  /** Events that may be missing, or may still be on the topic. */
  undecided: number;
  /** From when (by the service's clock) the next pass has to look. */
  since: string;
}

/** Event ids are made before their documents are there, on several machines: how far a pass looks back before the one before it. */
const OVERLAP_MS = 5 * 60_000;
const CHUNK = 500;

/**
 * Compares a service's events with the audit's records, by the heads of all entities, or of those that changed since `since`. Only what must
 * have arrived is judged: the service says what is settled, and before an event is called missing, the audit has taken
 * everything that the topic held. Holds a batch of heads and some hundred events, however many there are.
 */
export async function comparePass(parts: PassParts, since?: string): Promise<PassResult> {
  const { client, collections, graceMs, signal } = parts;
  const store = await client.describe(signal);
  const missing = new Missing(parts);
  const full = since === undefined;
  const result: PassResult = { heads: 0, found: 0, undecided: 0, since: since ?? '' };
  let inFlightSince = '';
  let asOf = '';
  const enough = () => missing.done || result.found >= parts.mostFindings;
  for await (const batch of client.heads({ graceMs, ...(since !== undefined && { since }) }, signal)) {
    signal?.throwIfAborted();
    result.heads += batch.heads.length;
    asOf ||= batch.as_of;
    inFlightSince = earlier(inFlightSince, batch.in_flight_since);
    const known = await knownOf(collections, batch.heads);
    for (const [at, head] of batch.heads.entries()) {
      const { behind, ahead } = judge(head, known[at] ?? { eventVersion: undefined, entityVersion: 0 });
      if (behind) await missing.lookInto(head);
      // With `since`, a head is not always the newest event, and being ahead says nothing.
      if (ahead && full && store.keeps_events)
        result.found += await findUnknown(parts, store, [keyOf(head)], parts.mostFindings - result.found);
    }
    if (enough()) break;
  }
  await missing.decide();
  if (full && store.keeps_events && !enough()) {
    // Entities that only the audit knows.
    result.found += await findUnknownEntities(parts, store, parts.mostFindings - result.found);
  }
  // A pass that was cut short is made again from where it began.
  if (!enough()) result.since = earlier(overlapping(asOf), inFlightSince);
  return { ...result, found: result.found + missing.found, undecided: missing.undecided };
}

/** Events that may be missing, until it is decided. */
class Missing {
  readonly #parts: PassParts;
  #candidates: { head: Head; event_id: string; version: number }[] = [];
  found = 0;
  undecided = 0;
  /** Nothing more is to be looked for in this pass: the audit is behind the topic, or enough was found. */
  done = false;

  constructor(parts: PassParts) {
    this.#parts = parts;
  }

  /** Gathers the events of an entity that have no record. */
  async lookInto(head: Head): Promise<void> {
    const { client, collections, graceMs, signal } = this.#parts;
    const { entity_type: entityType, entity_id: entityId } = head;
    for (let afterVersion = 0; !this.done; ) {
      const page = await client.entityEvents({ entityType, entityId, afterVersion, graceMs }, signal);
      const last = page.at(-1);
      if (last === undefined) return;
      for (let from = 0; from < page.length; from += CHUNK) {
        const settled = page.slice(from, from + CHUNK).filter((event) => event.settled);
        const lacking = await withoutRecord(collections, settled, ({ event_id }) => event_id);
        this.#candidates.push(...lacking.map(({ event_id, version }) => ({ head, event_id, version })));
        if (this.#candidates.length >= CHUNK) await this.decide();
      }
      afterVersion = last.version;
    }
  }

  /** What has no record although all of the topic was taken is missing. */
  async decide(): Promise<void> {
    const candidates = this.#candidates;
    this.#candidates = [];
    if (candidates.length === 0) return;
    const { collections, service, caughtUp, signal, now, mostFindings } = this.#parts;
    if (this.done || !(await caughtUp(signal))) {
      this.undecided += candidates.length;
      this.done = true;
      return;
    }
    const lacking = await withoutRecord(collections, candidates, ({ event_id }) => event_id);
    const at = now();
    const findings = lacking.map(({ head, event_id, version }) => {
      const { company_id = null, entity_type, entity_id } = head;
      return missingEvent(service, { company_id, entity_type, entity_id, event_id, named_version: version }, at);
    });
    this.found += await openFindings(collections, findings, mostFindings - this.found);
    this.done = this.found >= mostFindings;
  }
}

function earlier(one: string, other: string): string {
  if (one === '' || other === '') return one || other;
  return one < other ? one : other;
}

function overlapping(asOf: string): string {
  return new Date(Date.parse(asOf) - OVERLAP_MS).toISOString();
}
