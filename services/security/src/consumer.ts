import { type Batch, type Bus, type BusConsumer, headerText, type InMessage, processAttributes } from '@biz/bus';
import { type ReadEvent, readEnvelope } from '@biz/envelope';
import { readSecurityEvent, type SecurityEvent } from '@biz/security-events';
import { type BatchOptions, SpanKind, spanContextOf, tracedBatch } from '@biz/telemetry';

/**
 * Something that is told of every batch: the storages, the counters, the alerts. A batch may come again, whole or in part, after a crash and
 * from another process, so `take` has the same effect however often an event id comes. It rejects only when an engine is away; what cannot
 * be made sense of is logged and left out, since a batch that is refused comes again for ever.
 */
export interface Sink {
  readonly name: string;
  /** `batch`: the security events. `all`: every event of any producer that could be read, those among them, in order of offset. */
  take(batch: readonly SecurityEvent[], all: readonly ReadEvent[], place: Place): Promise<void>;
}

/** Where a batch lies in the topic. */
export interface Place {
  readonly partition: number;
  /** Where each event is first found, by its id. */
  readonly offsets: ReadonlyMap<string, number>;
  /** The offset after the batch. */
  readonly end: number;
  /** The `traceparent` of the first message of a trace. */
  readonly traceparentOf: (traceId: string) => string | undefined;
}

export interface ConsumerOptions {
  readonly bus: Bus;
  readonly topic: string;
  readonly groupId: string;
  readonly maxBatchRecords: number;
  readonly concurrency: number;
  /** In the order in which they are told. */
  readonly sinks: readonly Sink[];
  /** The consumer died for a reason other than the brokers being away. */
  readonly onFatal: (error: Error) => void;
}

/** Reads the topic and tells every sink; a batch's offset is committed once all of them have taken it. */
export function startConsumer(options: ConsumerOptions): BusConsumer {
  const { bus, topic, groupId, maxBatchRecords, concurrency, sinks, onFatal } = options;
  return bus.consumer({
    ...{ groupId, topics: [topic], maxBatchRecords, concurrency, onFatal },
    batch: (batch) => tell(sinks, batch),
  });
}

/** Tells the sinks of a batch, one after the other; what is no envelope the audit keeps among its dead letters. */
export async function tell(sinks: readonly Sink[], batch: Omit<Batch, 'more'>): Promise<void> {
  const { partition, messages, signal } = batch;
  const offsets = new Map<string, number>();
  const all = messages.flatMap((message) => {
    const read = message.codecFault === undefined ? readEnvelope(message) : undefined;
    if (!read?.ok) return [];
    const { event_id } = read.event;
    if (!offsets.has(event_id)) offsets.set(event_id, Number(message.offset));
    return [read.event];
  });
  if (all.length === 0) return;
  const place = { partition, offsets, end: Number(messages.at(-1)?.offset) + 1, traceparentOf: traceparents(messages) };
  const events = all.flatMap((event) => readSecurityEvent(event) ?? []);
  await tracedBatch('security record', spansOf(batch, events, offsets), async () => {
    for (const sink of sinks) {
      signal.throwIfAborted();
      await sink.take(events, all, place);
    }
  });
}

/** What a batch is in traces: only security events have a span of their own, since most of the topic is about something else. */
function spansOf(
  { topic, partition, messages }: Omit<Batch, 'more'>,
  events: readonly SecurityEvent[],
  offsets: ReadonlyMap<string, number>,
): BatchOptions {
  const attributes = processAttributes({ topic, partition });
  const offsetOf = (index: number) => offsets.get(events[index]?.event_id ?? '') ?? -1;
  let byOffset: Map<number, InMessage> | undefined;
  return {
    count: events.length,
    traceparentOf: (index) => {
      byOffset ??= new Map(messages.map((message) => [Number(message.offset), message]));
      return headerText(byOffset.get(offsetOf(index)), 'traceparent');
    },
    kind: SpanKind.CONSUMER,
    attributes,
    each: {
      ...{ name: `process ${topic}`, kind: SpanKind.CONSUMER, attributes },
      attributesOf: (index) => ({ 'messaging.kafka.offset': offsetOf(index) }),
    },
  };
}

/** Looked up when something is found out that belongs to a trace, which is seldom. */
function traceparents(messages: readonly InMessage[]): Place['traceparentOf'] {
  return (traceId) => {
    for (const message of messages) {
      const traceparent = headerText(message, 'traceparent');
      if (traceparent?.includes(traceId) && spanContextOf(traceparent)?.traceId === traceId) return traceparent;
    }
    return undefined;
  };
}
