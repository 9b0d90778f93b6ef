import { rebuildEnvelope } from '@biz/envelope';
import type { Keyring } from '@biz/sealing';
import type { Collections } from '../collections.ts';
import { openTexts } from '../ingest/seal.ts';
import { placeOf, recordId } from '../keys.ts';
import { eventOf, type RecordDocument } from '../record.ts';

export interface ReplayedEvent {
  record_id: string;
  /** JSON text. */
  envelope: string;
  erased: string[];
}

/** What one stretch of a log gave; empty where it is all of other producers. */
export interface Replayed {
  events: ReplayedEvent[];
  /** The records of these events. */
  records: RecordDocument[];
  position: string;
  done: number;
  total: number;
}

export interface ReplayOptions {
  producer: string;
  /** The last position of an earlier replay. */
  after?: string;
  /** Records looked at in one query. */
  span: number;
}

/** Events of one message, and about how much text. */
const MOST_EVENTS = 500;
const MOST_TEXT = 1024 * 1024;

/**
 * The events of one producer that are in the logs now, log after log, the newest first. Walks the primary key, whatever the producer: a
 * rebuild is rare, an index for it would cost every record. Each query looks at a bounded number of records.
 */
export async function* replay(collections: Collections, keyring: Keyring, options: ReplayOptions): AsyncGenerator<Replayed> {
  const logs = await collections.logs.find({}).sort({ _id: -1 }).toArray();
  const total = logs.reduce((sum, { size }) => sum + size, 0);
  const start = options.after ? placeOf(options.after) : undefined;
  let done = 0;
  for (const { _id: log, size } of logs) {
    const from = start === undefined || log < start.log ? size : log === start.log ? Math.min(start.leaf, size) : 0;
    done += size - from;
    for (let high = from; high > 0; ) {
      const low = Math.max(0, high - options.span);
      for await (const records of stretch(collections, options.producer, recordId(log, low), recordId(log, high))) {
        const position = records.at(-1)?._id ?? recordId(log, low);
        const at = placeOf(position).leaf;
        yield { events: await envelopes(keyring, records), records, position, done: done + high - at, total };
      }
      done += high - low;
      high = low;
      yield { events: [], records: [], position: recordId(log, low), done, total };
    }
  }
}

/** The producer's records from one id to before another, the newest first, as many at once as a message takes. */
async function* stretch(collections: Collections, producer_service: string, low: string, high: string): AsyncGenerator<RecordDocument[]> {
  const filter = { _id: { $gte: low, $lt: high }, kind: 'event', producer_service } as const;
  const cursor = collections.events.find(filter).sort({ _id: -1 }).batchSize(MOST_EVENTS);
  let batch: RecordDocument[] = [];
  let text = 0;
  for await (const record of cursor) {
    const length = record.payload?.length ?? 0;
    if (batch.length > 0 && (batch.length === MOST_EVENTS || text + length > MOST_TEXT)) {
      yield batch;
      [batch, text] = [[], 0];
    }
    batch.push(record);
    text += length;
  }
  if (batch.length > 0) yield batch;
}

/** Envelopes as they were sent; what was erased is left out of them. */
async function envelopes(keyring: Keyring, records: readonly RecordDocument[]): Promise<ReplayedEvent[]> {
  const texts = await openTexts(keyring, records);
  return records.map((record, index) => {
    const { payload, extra, owner_ip } = texts[index] ?? {};
    const erased = [
      ...(payload === undefined ? ['payload'] : []),
      ...(extra === undefined ? ['extra'] : []),
      ...(owner_ip === undefined ? ['owner_ip'] : []),
    ];
    const { metadata, ...envelope } = rebuildEnvelope(
      eventOf(record, { payload: payload ?? '{}', extra: extra ?? null, owner_ip: owner_ip ?? '' }),
    );
    const { owner_ip: address, ...rest } = metadata as { owner_ip?: string };
    const told = { ...envelope, metadata: owner_ip === undefined ? rest : { ...rest, owner_ip: address } };
    return { record_id: record._id, envelope: JSON.stringify(told), erased };
  });
}
