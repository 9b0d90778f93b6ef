import { type Batch, type BusProducer, headerText, type InMessage } from '@biz/bus';
import { type Keyring, sealUnlessErased } from '@biz/sealing';
import { spanContextOf } from '@biz/telemetry';
import { logId, recordId } from '../keys.ts';
import { looksPersonal } from '../personal.ts';
import type { Letter } from './batch.ts';
import { deadLetterOwner, sealedFields } from './seal.ts';
import type { DeadLetterDocument } from './store.ts';

type Place = Pick<Batch, 'topic' | 'partition' | 'messages'>;
type PlacedLetter = { offset: number } & Letter;

/** Raw bytes kept in the database; a document has 16 MiB, and the bytes grow by 16/9 on the way. */
const MOST_STORED_BYTES = 6 * 1024 * 1024;
/** Raw bytes that fit a message of the dead-letter topic with the broker's default settings. */
const MOST_SENT_BYTES = 900_000;

/** Documents of dead letters, raw bytes sealed. Their id is made of place and time of the message, so that a repetition finds them. */
export async function lettersOf(
  keyring: Keyring,
  batch: Place,
  letters: readonly PlacedLetter[],
  receivedAt: Date,
): Promise<DeadLetterDocument[]> {
  if (letters.length === 0) {
    return [];
  }
  const messages = messagesOf(batch, letters);
  const ids = messages.map((message) => letterId(batch, message));
  const raws = messages.map(({ value }) => value?.subarray(0, MOST_STORED_BYTES) ?? null);
  const tokens = await sealUnlessErased(
    keyring,
    raws.map((raw, index) => ({
      company_id: null,
      ownership_id: deadLetterOwner(receivedAt),
      event_id: ids[index] as string,
      field: sealedFields.raw,
      text: raw?.toString('base64') ?? '',
    })),
  );
  return letters.map(({ code, faults, offset }, index) => ({
    _id: ids[index] as string,
    code,
    errors: faults,
    topic: batch.topic,
    partition: batch.partition,
    offset,
    message_at: new Date(Number(messages[index]?.timestamp)),
    received_at: receivedAt,
    raw: raws[index] == null ? null : (tokens[index] ?? null),
    raw_size: messages[index]?.value?.length ?? 0,
    raw_kept: raws[index]?.length ?? 0,
    ...eventIdHeader(messages[index]),
    ...traceHeader(messages[index]),
    status: 'open',
  }));
}

/** Kept only when it has the form of an id; anything else in a header may be anybody's data. */
function eventIdHeader(message: InMessage | undefined): { event_id_header?: string } {
  const header = headerText(message, 'event_id') ?? '';
  return /^[\w.:-]{1,200}$/.test(header) && !looksPersonal(header) ? { event_id_header: header } : {};
}

/** Kept when it is one (W3C Trace Context): a replay goes on in the same trace. */
function traceHeader(message: InMessage | undefined): { traceparent?: string } {
  const traceparent = headerText(message, 'traceparent');
  return traceparent !== undefined && spanContextOf(traceparent) ? { traceparent } : {};
}

/** Sends the raw messages to the dead-letter topic, with what is wrong as headers. At least once. */
export async function publishLetters(
  parts: { producer: BusProducer; dlqTopic: string },
  batch: Place,
  letters: readonly PlacedLetter[],
): Promise<void> {
  if (letters.length === 0) {
    return;
  }
  const messages = messagesOf(batch, letters);
  await parts.producer.send(
    parts.dlqTopic,
    letters.map(({ code, faults, offset }, index) => {
      const { key = null, value = null } = messages[index] ?? {};
      const truncated = value !== null && value.length > MOST_SENT_BYTES;
      return {
        key,
        value: truncated ? value.subarray(0, MOST_SENT_BYTES) : value,
        headers: {
          code,
          topic: batch.topic,
          partition: String(batch.partition),
          offset: String(offset),
          errors: JSON.stringify(faults.slice(0, 20)),
          ...traceHeader(messages[index]),
          ...(truncated && { raw_size: String(value.length) }),
        },
      };
    }),
  );
}

function messagesOf(batch: Place, letters: readonly PlacedLetter[]): InMessage[] {
  const byOffset = new Map(batch.messages.map((message) => [Number(message.offset), message]));
  return letters.map(({ offset }) => byOffset.get(offset) as InMessage);
}

function letterId({ topic, partition }: Place, { offset, timestamp }: InMessage): string {
  // With the time, since offsets begin anew when a topic is made anew.
  return `${recordId(logId(topic, partition), Number(offset))}.${timestamp}`;
}
