import { envelopeOf } from '@biz/envelope';
import { type Carry, SpanKind } from '@biz/telemetry';
import type { RelayOptions } from './relay.ts';
import type { EventDocument } from './types.ts';

/** The part of a bus producer that publishing needs. */
export interface Sender {
  send(topic: string, messages: { key: string; value: string; headers: Record<string, string> }[]): Promise<void>;
}

/** A broker takes batches of 1 MB (message.max.bytes); what is sent at once stays well below. */
const SEND_BYTES = 700 * 1024;

/**
 * A relay's `deliver` that publishes each event as the standard envelope. `identity` is the service (`team_service`)
 * and this process's own UUID; an event that names its own producer keeps it. Resolves when all in-sync replicas have all of it.
 */
export function publishTo(
  producer: Sender,
  topic: string,
  identity: { service: string; instance: string },
): (batch: EventDocument[], signal?: AbortSignal, carry?: Carry) => Promise<void> {
  return async (batch, _, carry) => {
    const messages = batch.map((event, index) => messageOf(event, identity, carry?.(index)));
    for (const chunk of chunks(messages)) await producer.send(topic, chunk);
  };
}

function messageOf(event: EventDocument, identity: { service: string; instance: string }, traceparent: string | undefined) {
  const message = envelopeOf(event, { ...identity, ...(event.producer && { service: event.producer }) });
  if (traceparent !== undefined) message.headers.traceparent = traceparent;
  return message;
}

/** What publishing to a topic is called in traces: a batch, and in each event's own trace the span that its message carries on. */
export function publishSpans(topic: string): Required<Pick<RelayOptions, 'span' | 'each'>> {
  const attributes = {
    'messaging.system': 'kafka',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': topic,
  };
  const attributesOf = ({ type, meta }: EventDocument) => ({
    'biz.event_type': type,
    'biz.entity_type': meta.entity_type,
    'biz.entity_id': meta.entity_id,
    'biz.ownership_id': meta.ownership_id,
    ...(meta.company_id !== null && { 'biz.company_id': meta.company_id }),
  });
  return { span: 'relay publish', each: { name: `send ${topic}`, kind: SpanKind.PRODUCER, attributes, attributesOf } };
}

/** Consecutive runs that each stay below the limit: in order, so that a stream's events are. */
function* chunks<Message extends { value: string }>(messages: readonly Message[]): Generator<Message[]> {
  let chunk: Message[] = [];
  let bytes = 0;
  for (const message of messages) {
    const size = Buffer.byteLength(message.value);
    if (chunk.length > 0 && bytes + size > SEND_BYTES) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(message);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
