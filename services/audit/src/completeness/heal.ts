import { MOST_IDS, type ReconciliationClient } from '@biz/reconciliation';
import type { Collections } from '../collections.ts';
import { namesAll, patience } from './compare.ts';
import type { FindingDocument } from './finding.ts';
import { closeFindings, noteRepublished, openOf } from './findings.ts';
import { withoutRecord } from './known.ts';

export interface HealParts {
  collections: Collections;
  service: string;
  client: ReconciliationClient;
  graceMs: number;
  now: () => Date;
  signal?: AbortSignal | undefined;
}

/**
 * Closes findings about events of the service that have a record now, and has the others published again, each no more often than its
 * patience allows. An event that cannot become a record (a dead letter) is asked for ever more rarely.
 */
export async function healMissing(parts: HealParts): Promise<void> {
  const { collections, service, client, graceMs, signal } = parts;
  for await (const chunk of openOf(collections, 'missing_event', { service })) {
    const at = parts.now();
    const lacking = await withoutRecord(collections, chunk, ({ event_id }) => event_id);
    const lackingIds = new Set(lacking.map(({ _id }) => _id));
    await closeFindings(
      collections,
      chunk.map(({ _id }) => _id).filter((id) => !lackingIds.has(id)),
      at,
    );
    const due = lacking.filter((finding) => isDue(finding, graceMs, at)).slice(0, MOST_IDS);
    if (due.length === 0) continue;
    const sent = await client.republish(
      due.map(({ event_id }) => event_id),
      signal,
    );
    const asked = due.filter(({ event_id }) => sent.has(event_id)).map(({ _id }) => _id);
    if (asked.length > 0) await noteRepublished(collections, asked, at);
  }
}

function isDue({ republished_at, republish_count = 0 }: FindingDocument, graceMs: number, at: Date): boolean {
  return republished_at === undefined || at.getTime() - republished_at.getTime() >= patience(graceMs, republish_count);
}

/** Closes findings about events that the service has again: it was restored. */
export async function healUnknown({ collections, service, client, now, signal }: HealParts): Promise<void> {
  for await (const chunk of openOf(collections, 'unknown_to_service', { service })) {
    const known = await client.findEvents(
      chunk.map(({ event_id }) => event_id),
      signal,
    );
    const again = chunk.filter(({ event_id }) => known.has(event_id)).map(({ _id }) => _id);
    await closeFindings(collections, again, now());
  }
}

/**
 * Closes findings about versions of entities whose records name 1..n by now: nothing is missing, though it came in another order. Looks
 * at one chunk of findings after the id `after`, and gives the id to go on from, empty after the last.
 */
export async function healVersions(collections: Collections, after: string, now: () => Date): Promise<string> {
  for await (const chunk of openOf(collections, 'version_differs', { after })) {
    const complete = new Set<string>();
    for (const key of new Set(chunk.map(({ entity_key }) => entity_key))) {
      const records = collections.events
        .find({ entity_key: key }, { projection: { _id: 0, entity_version: 1 } })
        .sort({ entity_key: 1, version: 1 });
      if (namesAll((await records.toArray()).map(({ entity_version }) => entity_version))) complete.add(key);
    }
    const whole = chunk.filter(({ entity_key }) => complete.has(entity_key)).map(({ _id }) => _id);
    await closeFindings(collections, whole, now());
    return chunk.at(-1)?._id ?? '';
  }
  return '';
}
