import type { BusProducer } from '@biz/bus';
import { type EnvelopeLimits, type ReadEvent, readEnvelope } from '@biz/envelope';
import { AppError } from '@biz/errors';
import type { Outbox } from '@biz/eventstore';
import type { CallContext } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import { SpanKind, traced, traceparentOf } from '@biz/telemetry';
import type { Collections } from '../collections.ts';
import { sealedFields } from '../ingest/seal.ts';
import { verdictsOf } from '../ingest/snapshot.ts';
import type { AuditStore, DeadLetterDocument } from '../ingest/store.ts';
import { entityKey, indexKey } from '../keys.ts';

/** What the replay of dead letters works with. */
export interface LetterParts {
  collections: Pick<Collections, 'deadLetters'>;
  keyring: Keyring;
  store: Pick<AuditStore, 'findEvents' | 'records'>;
  outbox: Outbox;
  producer: Pick<BusProducer, 'send'>;
  /** The topic that envelopes are published to. */
  topic: string;
  /** Those of the consumer: what passes here passes there. */
  limits: EnvelopeLimits;
}

/** For so long an unfinished replay keeps others, with another envelope, from the same letter: well above any deadline. */
const ATTEMPT_MS = 60_000;

/**
 * Publishes a dead letter again and marks it: the given envelope (JSON text), or the raw bytes as they are. AppError `invalid_request` with
 * every fault when it would be a dead letter again, `conflict` when it was replayed as another event.
 *
 * Each step may be repeated: take the letter (which names the event from then on) → publish → event of our own → mark. After a
 * crash the same call finishes; the envelope's event id, if need be the digest of its content, makes the second message a double.
 */
export async function replayLetter(
  parts: LetterParts,
  letter: DeadLetterDocument,
  envelope: string | undefined,
  context: CallContext,
): Promise<DeadLetterDocument> {
  const message = envelope === undefined ? await rawMessage(parts, letter) : { value: Buffer.from(envelope) };
  const at = envelope === undefined ? '' : '/envelope';
  const event = await readable(parts, message, at);
  if (letter.replayed?.event_id === event.event_id) return letter;
  const taken = await take(parts, letter, { event_id: event.event_id, at: new Date(), by: context.actor.id });
  if (taken.status === 'replayed') return taken; // as this very event, by somebody who asked at the same moment
  await publish(parts, taken, { event_id: event.event_id, entity_id: event.entity_id, value: message.value }, context.traceparent);
  await parts.outbox.append([
    {
      type: 'dead_letter.replayed',
      entity_type: 'dead_letter',
      entity_id: letter._id,
      action_type: 'update',
      // That of the event: those whose trail it comes into can see who put it there.
      company_id: event.company_id,
      data: {
        id: letter._id,
        code: letter.code,
        event_id: event.event_id,
        corrected: envelope !== undefined,
        earlier_event_ids: (taken.attempts ?? []).filter((id) => id !== event.event_id),
      },
      context,
    },
  ]);
  return mark(parts, taken);
}

/** Sends it on in the trace that the message came with, linked to the request that replays it; without one in the trace of that. */
async function publish(
  { producer, topic }: LetterParts,
  { traceparent }: DeadLetterDocument,
  { event_id, entity_id, value }: { event_id: string; entity_id: string; value: Buffer },
  asked: string,
): Promise<void> {
  const attributes = { 'messaging.system': 'kafka', 'messaging.operation.type': 'send', 'messaging.destination.name': topic };
  const links = traceparent === undefined ? [] : [asked];
  await traced(`send ${topic}`, { kind: SpanKind.PRODUCER, attributes, parent: traceparent, links }, async (span) => {
    const headers = { event_id, traceparent: traceparentOf(span.spanContext()) ?? traceparent ?? asked };
    await producer.send(topic, [{ key: entity_id, value, headers }]);
  });
}

/** The message's bytes; AppError when they are not, or not all, kept here. */
async function rawMessage({ keyring }: LetterParts, letter: DeadLetterDocument) {
  const [opened] = letter.raw === null ? [] : await keyring.open([{ company_id: null, field: sealedFields.raw, token: letter.raw }]);
  if (!opened?.ok) throw refused('/envelope', 'is required: the raw bytes are not there any more');
  if (letter.raw_kept < letter.raw_size) throw refused('/envelope', 'is required: only the beginning of the raw bytes is kept');
  const headers = letter.event_id_header === undefined ? {} : { event_id: letter.event_id_header };
  return { value: Buffer.from(opened.text, 'base64'), headers };
}

/** The event that the consumer will read from these bytes. */
async function readable(
  { store, keyring, limits }: LetterParts,
  message: { value: Buffer; headers?: Record<string, string> },
  at: string,
): Promise<ReadEvent> {
  const result = readEnvelope(message, limits);
  if (!result.ok) {
    const faults = result.faults.map((fault) => ({ path: `${at}${fault.path}`, message: fault.message }));
    throw new AppError('invalid_request', `The envelope would be a dead letter again (${result.code}).`, { faults });
  }
  const { event } = result;
  const incoming = {
    offset: -1,
    event,
    eventKey: indexKey(event.event_id),
    entityKey: entityKey(event.company_id, event.entity_type, event.entity_id),
  };
  const verdicts = await verdictsOf({ store, keyring }, '', [incoming]);
  if (verdicts.get(-1) === 'other') {
    throw refused(`${at}/metadata/event_id`, 'is that of a record with other content: give a new one');
  }
  return event;
}

function refused(path: string, message: string): AppError {
  return new AppError('invalid_request', 'The letter cannot be replayed so.', { faults: [{ path, message }] });
}

/** The letter with this event as its attempt, or replayed as it meanwhile; AppError when somebody is at it, or was, with another event. */
async function take(
  { collections }: LetterParts,
  { _id }: DeadLetterDocument,
  attempt: NonNullable<DeadLetterDocument['attempt']>,
): Promise<DeadLetterDocument> {
  const patience = new Date(attempt.at.getTime() - ATTEMPT_MS);
  const free = [{ attempt: { $exists: false } }, { 'attempt.event_id': attempt.event_id }, { 'attempt.at': { $lt: patience } }];
  await collections.deadLetters.updateOne(
    { _id, status: 'open', $or: free },
    { $set: { attempt }, $addToSet: { attempts: attempt.event_id } },
  );
  const letter = await collections.deadLetters.findOne({ _id });
  if (letter?.status === 'open' && letter.attempt?.event_id === attempt.event_id) return letter;
  const replayed = letter?.replayed?.event_id;
  if (letter && replayed === attempt.event_id) return letter;
  if (replayed === undefined) throw new AppError('version_conflict', 'Somebody else is replaying the letter at this moment.');
  throw new AppError('conflict', 'The letter was replayed as another event.');
}

async function mark({ collections }: LetterParts, { _id, attempt }: DeadLetterDocument): Promise<DeadLetterDocument> {
  const { deadLetters } = collections;
  await deadLetters.updateOne({ _id, status: 'open' }, { $set: { status: 'replayed', ...(attempt && { replayed: attempt }) } });
  const letter = await deadLetters.findOne({ _id });
  if (letter === null) throw new AppError('not_found', 'There is no such dead letter.');
  return letter;
}
