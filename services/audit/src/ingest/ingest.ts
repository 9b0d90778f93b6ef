import { type Batch, type BusProducer, headerText, type InMessage, processAttributes } from '@biz/bus';
import { defaultLimits, type EnvelopeLimits } from '@biz/envelope';
import type { Keyring } from '@biz/sealing';
import { type BatchOptions, counter, inTraceOf, SpanKind, traced, tracedBatch } from '@biz/telemetry';
import { type FindingDocument, versionDiffers } from '../completeness/finding.ts';
import { logId, recordId } from '../keys.ts';
import { type RecordDocument, recordOf, type SealedTexts } from '../record.ts';
import type { Leaf, NewRecord, Plan } from './batch.ts';
import { lettersOf, publishLetters } from './dead-letters.ts';
import { type LogPending, Pending } from './pending.ts';
import { planBatch } from './plan.ts';
import { readMessage } from './reading.ts';
import { sealEvents } from './seal.ts';
import { takeSnapshot } from './snapshot.ts';
import type { AuditStore, VoidDocument } from './store.ts';
import { edgeOf, growTree } from './tree.ts';

export interface IngestParts {
  store: AuditStore;
  keyring: Keyring;
  producer: BusProducer;
  dlqTopic: string;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  /** Keeps what is put off between batches; without it nothing is. */
  pending?: Pending;
  limits?: EnvelopeLimits;
  /** More than this between the producer's clock and ours is flagged; 5 minutes when not given. */
  skewMs?: number;
  now?: () => Date;
}

const SKEW_MS = 5 * 60_000;
const MOST_TRIES = 20;
/** Leaves whose effects on entities and ownerships are put off at most. */
const MOST_PUT_OFF = 10_000;

const stored = counter('biz.audit.records');
const deadLetters = counter('biz.audit.dead_letters');

type Taken = Pick<Batch, 'topic' | 'partition' | 'messages' | 'more' | 'signal'>;

/**
 * Takes one batch of one partition into the audit. When it resolves, all of it is durable: records, heads, ownerships, dead
 * letters; then the log's size is moved, and the caller commits the offset. Rejects when an engine fails, having
 * changed nothing that a repetition would not find and finish.
 */
export function ingest(parts: IngestParts, batch: Taken): Promise<{ records: number }> {
  return tracedBatch('audit ingest', spansOf(batch), () => take(parts, batch));
}

async function take(parts: IngestParts, batch: Taken): Promise<{ records: number }> {
  const log = logId(batch.topic, batch.partition);
  const incoming = batch.messages.map((message) => readMessage(message, parts.limits ?? defaultLimits));
  const receivedAt = parts.now?.() ?? new Date();
  const sealed = new Map<number, SealedTexts>();
  const put = parts.pending ?? new Pending();
  for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
    batch.signal.throwIfAborted();
    const state = await parts.store.logState(log);
    const [pending, edge] = await Promise.all([put.of(parts.store, log, state), edgeOf(parts.store, log, state)]);
    const { size: base } = pending;
    const plan = await stage('plan', async () => planBatch(await takeSnapshot(parts, incoming, pending, tries > 1), incoming));
    await stage('seal', () => sealMissing(parts.keyring, plan.records, receivedAt, sealed));
    const written = await stage('insert', () => insertRecords(parts, log, plan, sealed, receivedAt));
    if (written === undefined) {
      continue;
    }
    // From here on, until the log is moved, what is pending in memory is ahead of the store.
    put.drop(log);
    const [grown] = await Promise.all([
      stage('tree', () => growTree(parts.store, log, edge, plan.size, written)),
      stage('effects', () => applyEffects(parts, log, plan, receivedAt, batch)),
    ]);
    await parts.store.saveTiles(log, grown.tiles);
    pending.add(plan.heads, plan.leaves);
    const putOff = parts.pending !== undefined && batch.more && !pending.hasBlind && plan.size - pending.applied < MOST_PUT_OFF;
    if (!putOff) {
      await stage('heads', () => applyPending(parts.store, pending, plan.size));
    }
    const next_offset = Number((batch.messages.at(-1) as InMessage).offset) + 1;
    const to = { size: plan.size, applied: pending.applied, next_offset, edge: grown.edge };
    if (await stage('advance', () => parts.store.advance(log, base, to))) {
      pending.size = plan.size;
      put.keep(pending);
      stored.add(plan.records.length);
      return { records: plan.records.length };
    }
    parts.log.warn({ log_id: log, base }, 'another consumer moved the log; the batch is planned again');
  }
  throw new Error(`${log}: no plan for the batch held after ${MOST_TRIES} tries`);
}

/** What a batch is in traces: of OpenTelemetry's conventions for messages that are worked on together. */
function spansOf({ topic, partition, messages }: Taken): BatchOptions {
  const attributes = processAttributes({ topic, partition });
  const attributesOf = (index: number) => ({ 'messaging.kafka.offset': Number(messages[index]?.offset) });
  return {
    count: messages.length,
    traceparentOf: (index) => headerText(messages[index], 'traceparent'),
    kind: SpanKind.CONSUMER,
    attributes,
    each: { name: `process ${topic}`, kind: SpanKind.CONSUMER, attributes, attributesOf },
  };
}

/** A step of a batch: a span, below which stands what the stores did. */
function stage<T>(name: string, work: () => Promise<T>): Promise<T> {
  return traced(`audit ${name}`, {}, work);
}

async function applyPending(store: AuditStore, pending: LogPending, size: number): Promise<void> {
  await Promise.all([store.raiseHeads([...pending.heads.values()]), store.mergeOwnerships(pending.logId, [...pending.merges.values()])]);
  pending.done(size);
}

async function sealMissing(
  keyring: Keyring,
  records: readonly NewRecord[],
  receivedAt: Date,
  sealed: Map<number, SealedTexts>,
): Promise<void> {
  const missing = records.filter(({ offset }) => !sealed.has(offset));
  const texts = await sealEvents(
    keyring,
    missing.map(({ event }) => event),
    receivedAt,
  );
  for (const [index, { offset }] of missing.entries()) {
    sealed.set(offset, texts[index] as SealedTexts);
  }
}

/** What was written; undefined when the store knows better than the plan: then it is to be planned again. */
async function insertRecords(
  parts: IngestParts,
  log: string,
  plan: Plan,
  sealed: Map<number, SealedTexts>,
  receivedAt: Date,
): Promise<(RecordDocument | VoidDocument)[] | undefined> {
  const document = ({ event, leaf_index, offset, version, active_after }: NewRecord): RecordDocument =>
    recordOf(
      event,
      { log_id: log, leaf_index, offset, version, active_after, is_active: active_after },
      sealed.get(offset) as SealedTexts,
      receivedAt,
      parts.skewMs ?? SKEW_MS,
    );
  // In order of places, so that none gets in without those before it, whatever another consumer of the log planned for them.
  const documents = [
    ...plan.records.map(document),
    ...plan.voids.map(({ leaf_index, duplicate_of }) => voidOf(log, leaf_index, duplicate_of, receivedAt)),
  ].sort((one, other) => one.leaf_index - other.leaf_index);
  return documents.length === 0 || (await parts.store.insert(documents)) ? documents : undefined;
}

function voidOf(log: string, leafIndex: number, duplicateOf: string, receivedAt: Date): VoidDocument {
  const id = recordId(log, leafIndex);
  // No event id or entity key of a producer begins with '#'.
  return {
    _id: id,
    kind: 'void',
    log_id: log,
    leaf_index: leafIndex,
    event_id: `#void:${id}`,
    entity_key: `#void:${id}`,
    version: 0,
    received_at: receivedAt,
    duplicate_of: duplicateOf,
  };
}

async function applyEffects(
  parts: IngestParts,
  log: string,
  plan: Plan,
  receivedAt: Date,
  batch: Pick<Batch, 'topic' | 'partition' | 'messages'>,
): Promise<void> {
  const { store } = parts;
  const letters = await lettersOf(parts.keyring, batch, plan.letters, receivedAt);
  // Flags before heads: so a head tells that everything below it is cleared.
  await store.clearActive(plan.superseded);
  await Promise.all([
    store.saveFindings(findingsOf(log, plan.leaves, receivedAt)),
    store.saveDeadLetters(letters),
    publishLetters(parts, batch, plan.letters),
  ]);
  tellOf(parts, batch, plan.letters);
}

/** Counts and logs each dead letter, the line in the trace of its message where that names one. */
function tellOf(
  { log }: IngestParts,
  { topic, partition, messages }: Pick<Batch, 'topic' | 'partition' | 'messages'>,
  letters: Plan['letters'],
): void {
  for (const { code, offset } of letters) {
    deadLetters.add(1, { 'biz.dead_letter.code': code });
    const traceparent = headerText(
      messages.find((message) => Number(message.offset) === offset),
      'traceparent',
    );
    inTraceOf(traceparent, (trace) => {
      const fields = { topic, partition, offset, code, ...trace };
      if (code === 'event_id_conflict') log.error(fields, 'ALERT an event id came again with other content');
      else log.warn(fields, 'a message went to the dead letters');
    });
  }
}

function findingsOf(log: string, leaves: readonly Leaf[], foundAt: Date): FindingDocument[] {
  return leaves.flatMap(({ event, version, leaf_index }) => {
    if (event.entity_version === null || event.entity_version === version) return [];
    return [versionDiffers({ ...event, record_id: recordId(log, leaf_index), version, named_version: event.entity_version }, foundAt)];
  });
}
