import type { Keyring } from '@biz/sealing';
import { contentOf, eventOf } from '../record.ts';
import type { EntityState, Incoming, Placed, Snapshot } from './batch.ts';
import type { LogPending } from './pending.ts';
import { openRecords } from './seal.ts';
import type { AuditStore } from './store.ts';

type Event = Extract<Incoming, { eventKey: string }>;

/**
 * What the store says about a batch. `careful` reads versions from the records instead of `entities`; it is the way when a former
 * try was cut short or another consumer interferes, and after a conflict.
 */
export async function takeSnapshot(
  parts: { store: AuditStore; keyring: Keyring },
  batch: readonly Incoming[],
  pending: LogPending,
  careful: boolean,
): Promise<Snapshot> {
  const { store } = parts;
  const { logId, size: base } = pending;
  const events = batch.filter((message): message is Event => 'event' in message);
  const entityKeys = [...new Set(events.map(({ entityKey }) => entityKey))];
  const [verdicts, heads] = await Promise.all([verdictsOf(parts, logId, events), careful ? undefined : store.heads(entityKeys)]);
  // After the verdicts: a record of this log that was found by its event id, though another consumer wrote it just now, is then here too.
  const placed = await store.placedFrom(logId, base);
  const quick = heads !== undefined && placed.length === 0;
  const entities = quick ? withPending(heads, pending) : await store.exactStates(entityKeys, predecessors(placed));
  return { log_id: logId, base, placed, verdicts, entities };
}

/** Heads that are not in the store yet. */
function withPending(heads: Map<string, EntityState>, pending: LogPending): Map<string, EntityState> {
  for (const [key, { version, record_id, is_active }] of pending.heads) {
    if (version > (heads.get(key)?.version ?? 0)) {
      heads.set(key, { version, newest: { record_id, active: is_active }, flagged: is_active ? [record_id] : [] });
    }
  }
  return heads;
}

/** By entity, the version before the first one that a former try left: whether its flag was taken is not known. */
function predecessors(placed: readonly Placed[]): Map<string, number> {
  const versions = new Map<string, number>();
  for (const { entity_key, version } of placed) {
    versions.set(entity_key, Math.min(versions.get(entity_key) ?? version, version - 1));
  }
  return versions;
}

/** By offset, of events whose id has a record already: this very message's, one with the same content, or with other content. */
export async function verdictsOf(
  parts: { store: Pick<AuditStore, 'findEvents' | 'records'>; keyring: Keyring },
  logId: string,
  events: readonly Event[],
): Promise<Snapshot['verdicts']> {
  const found = await parts.store.findEvents([...new Set(events.map(({ eventKey }) => eventKey))]);
  const verdicts = new Map<number, 'mine' | 'same' | 'other'>();
  if (found.length === 0) {
    return verdicts;
  }
  const byEvent = new Map(found.map((one) => [one.event_id, one]));
  const doubles: { message: Event; record: string }[] = [];
  for (const message of events) {
    const record = byEvent.get(message.eventKey);
    if (record?.log_id === logId && record.offset === message.offset) {
      verdicts.set(message.offset, 'mine');
    } else if (record !== undefined) {
      doubles.push({ message, record: record._id });
    }
  }
  const contents = await contentsOf(parts, [...new Set(doubles.map(({ record }) => record))]);
  for (const { message, record } of doubles) {
    const content = contents.get(record);
    // What was erased cannot be compared, and must not come back: then the id alone decides.
    verdicts.set(message.offset, content === undefined || content === contentOf(message.event) ? 'same' : 'other');
  }
  return verdicts;
}

async function contentsOf(
  { store, keyring }: { store: Pick<AuditStore, 'records'>; keyring: Keyring },
  ids: readonly string[],
): Promise<Map<string, string | undefined>> {
  const contents = new Map<string, string | undefined>();
  if (ids.length > 0) {
    const records = await store.records(ids);
    const texts = await openRecords(keyring, records);
    for (const [index, record] of records.entries()) {
      const opened = texts[index];
      contents.set(record._id, opened && contentOf(eventOf(record, opened)));
    }
  }
  return contents;
}
