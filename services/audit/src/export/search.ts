import { AppError } from '@biz/errors';
import { type Filter, type FindCursor, MongoServerError } from 'mongodb';
import type { Collections } from '../collections.ts';
import { SEARCH_MS, TIME_LIMIT_EXCEEDED } from '../query/page.ts';
import type { RecordDocument } from '../record.ts';
import type { At } from './cursor.ts';

export type Events = Collections['events'];

export interface QueryLimits {
  /** Records given at once, at most. */
  readonly batch: number;
  /** Records, or entries of an index, that one query looks at. */
  readonly span: number;
  readonly signal: AbortSignal;
}

/** Records that a walk came to, and where it is after each. */
export interface Found {
  readonly records: RecordDocument[];
  at(record: RecordDocument): At;
}

/** The parts of a record that tell whether it is one of those that are wanted. */
export type Outline = Pick<RecordDocument, '_id'> & Partial<RecordDocument>;

/**
 * What a stretch of an index or a log has, of a few fields. The filter says both ends of that stretch and nothing else, and no index is named: so
 * every server reads that stretch and no more. (The embedded one does not narrow an index that is named, nor one whose fields are not all that is
 * asked for.) What else is wanted of a record is looked at here, see `matcher`.
 */
export async function outlines(
  events: Events,
  stretch: object,
  fields: readonly string[],
  sort: Readonly<Record<string, 1 | -1>>,
  { span, signal }: QueryLimits,
): Promise<Outline[]> {
  signal.throwIfAborted();
  const names = new Set([...Object.keys(sort), ...fields]);
  const projection = { _id: 1, ...Object.fromEntries([...names].map((name) => [name, 1])) };
  const cursor = events
    .find(stretch as Filter<RecordDocument>, { projection })
    .sort(sort)
    .limit(span)
    .batchSize(span)
    .maxTimeMS(SEARCH_MS);
  return cursor.toArray().catch(tooSlow);
}

/** The answers of one query as MongoDB sends them: 16 MB at most each. */
export async function* batches(cursor: FindCursor<RecordDocument>, { batch, signal }: QueryLimits): AsyncGenerator<RecordDocument[]> {
  signal.throwIfAborted();
  const limited = cursor.batchSize(batch).maxTimeMS(SEARCH_MS);
  try {
    while (await limited.hasNext().catch(tooSlow)) {
      yield limited.readBufferedDocuments();
      signal.throwIfAborted();
    }
  } finally {
    await limited.close();
  }
}

/** A filter of `filterOf` for what is here already: values, lists of them, stretches of time. */
export function matcher(filter: Readonly<Record<string, unknown>>): (outline: Outline) => boolean {
  const tests = Object.entries(filter).map(([name, wanted]) => {
    const test = testOf(wanted);
    return (outline: Outline) => test((outline as Record<string, unknown>)[name]);
  });
  return (outline) => tests.every((test) => test(outline));
}

function testOf(wanted: unknown): (value: unknown) => boolean {
  if (typeof wanted !== 'object' || wanted === null) return (value) => value === wanted;
  const { $in, $gte, $lt, ...rest } = wanted as { $in?: readonly unknown[]; $gte?: Date; $lt?: Date };
  if (Object.keys(rest).length > 0) throw new Error(`A filter has what nobody here knows: ${Object.keys(rest).join(', ')}`);
  const values = $in && new Set($in);
  return (value) =>
    (values === undefined || values.has(value)) &&
    ($gte === undefined || (value instanceof Date && value >= $gte)) &&
    ($lt === undefined || (value instanceof Date && value < $lt));
}

function tooSlow(error: unknown): never {
  if (error instanceof MongoServerError && error.code === TIME_LIMIT_EXCEEDED) {
    throw new AppError('timeout', 'The search takes too long; continue after the last record.', { cause: error });
  }
  throw error;
}
