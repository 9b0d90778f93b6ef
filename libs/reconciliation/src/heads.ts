import type { EventDocument } from '@biz/eventstore';
import type { Head, HeadBatch } from './messages.ts';

/** What a head is made of; read with `headProjection`. */
export type HeadEvent = Pick<EventDocument, '_id' | 'stream_id' | 'version' | 'at' | 'published_at'> & {
  meta: Pick<EventDocument['meta'], 'entity_type' | 'entity_id' | 'company_id'>;
};

export const headProjection = {
  stream_id: 1,
  version: 1,
  at: 1,
  published_at: 1,
  'meta.entity_type': 1,
  'meta.entity_id': 1,
  'meta.company_id': 1,
} as const;

const HEADS_IN_BATCH = 500;

/**
 * Whether an event is not on its way any more: the broker acknowledged it before `cutoff`. Before that it may not be known yet to
 * whoever reads the topic.
 */
export function isSettled(event: Pick<EventDocument, 'published_at'>, cutoff: Date): boolean {
  return event.published_at !== null && event.published_at < cutoff;
}

/**
 * Heads of streams whose events come one stream after the other, each in order of version. Holds one batch, however many events there
 * are. The last batch may be empty, so that there is always one.
 */
export async function* headsOfStreams(events: AsyncIterable<HeadEvent>, cutoff: Date, asOf: Date): AsyncGenerator<HeadBatch> {
  let batch = new Batch(cutoff);
  for await (const event of events) {
    if (batch.size === HEADS_IN_BATCH && !batch.has(event.stream_id)) {
      yield batch.done(asOf);
      batch = new Batch(cutoff);
    }
    batch.add(event);
  }
  yield batch.done(asOf);
}

/**
 * Heads of streams whose events come mixed, those of one stream in order of version: a stream has a head in each batch that has
 * events of it. Holds one batch.
 */
export async function* headsOfMixed(events: AsyncIterable<HeadEvent>, cutoff: Date, asOf: Date): AsyncGenerator<HeadBatch> {
  let batch = new Batch(cutoff);
  for await (const event of events) {
    batch.add(event);
    if (batch.size < HEADS_IN_BATCH) continue;
    yield batch.done(asOf);
    batch = new Batch(cutoff);
  }
  yield batch.done(asOf);
}

class Batch {
  readonly #cutoff: Date;
  readonly #heads = new Map<string, { head: Head; onItsWay: boolean }>();
  #inFlightSince = '';

  constructor(cutoff: Date) {
    this.#cutoff = cutoff;
  }

  get size(): number {
    return this.#heads.size;
  }

  has(stream: string): boolean {
    return this.#heads.has(stream);
  }

  add(event: HeadEvent): void {
    const known = this.#heads.get(event.stream_id);
    const settled = isSettled(event, this.#cutoff);
    // An event that follows one on its way cannot be judged before that one can.
    const onItsWay = known?.onItsWay === true || !settled;
    const { entity_type, entity_id, company_id } = event.meta;
    const head: Head = {
      entity_type,
      entity_id,
      ...(company_id !== null && { company_id }),
      version: event.version,
      last_event_id: event._id,
      last_event_at: event.at,
      published: event.published_at !== null,
      settled_version: onItsWay ? (known?.head.settled_version ?? 0) : event.version,
      settled_event_id: onItsWay ? (known?.head.settled_event_id ?? '') : event._id,
    };
    this.#heads.set(event.stream_id, { head, onItsWay });
    if (!settled && (this.#inFlightSince === '' || event.at < this.#inFlightSince)) this.#inFlightSince = event.at;
  }

  done(asOf: Date): HeadBatch {
    return {
      heads: [...this.#heads.values()].map(({ head }) => head),
      as_of: asOf.toISOString(),
      in_flight_since: this.#inFlightSince,
    };
  }
}

/** The least event id (UUIDv7, RFC 9562 section 5.7) of a point in time. */
export function firstIdAt(time: Date): string {
  const hex = Math.max(0, time.getTime()).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
