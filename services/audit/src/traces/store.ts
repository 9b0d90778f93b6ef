import { readFileSync } from 'node:fs';
import { AppError } from '@biz/errors';
import { Client, errors } from '@elastic/elasticsearch';
import { type Span, type SpanDocument, spanOf } from './span.ts';

export interface TraceStore extends AsyncDisposable {
  /** Spans of the traces, the earliest first, so many at most. Throws `unavailable` when the store is away or too slow. */
  find(traceIds: readonly string[], most: number, signal: AbortSignal): Promise<Span[]>;
}

/** Spans in Elasticsearch, as the collector writes them. Nothing is asked of the server until somebody asks for a trace. */
export function createTraceStore(options: TraceStoreOptions): TraceStore {
  const { url, index, timeoutMs } = options;
  const client = new Client({
    nodes: url.split(',').map((one) => one.trim()),
    ...authOf(options),
    ...(options.caFile && { tls: { ca: readFileSync(options.caFile, 'utf8') } }),
    requestTimeout: timeoutMs,
    maxRetries: 1,
  });
  return {
    async find(traceIds, most, signal) {
      try {
        const answer = await client.search<SpanDocument>(
          {
            ...{ index, size: most, timeout: `${timeoutMs}ms`, track_total_hits: false, ignore_unavailable: true },
            // events of spans are there as well: they have no duration
            query: { bool: { filter: [{ terms: { trace_id: [...traceIds] } }, { exists: { field: 'duration' } }] } },
            sort: [{ '@timestamp': { order: 'asc', unmapped_type: 'date_nanos' } }],
            _source: [
              '@timestamp',
              'trace_id',
              'span_id',
              'parent_span_id',
              'name',
              'kind',
              'duration',
              'status.code',
              'attributes',
              'links',
              'resource',
            ],
          },
          { signal },
        );
        if (answer.timed_out || answer._shards.failed > 0)
          throw new AppError('unavailable', 'The trace store is too slow, or a part of it is away; try again in a moment.');
        return answer.hits.hits.flatMap(({ _source }) => (_source === undefined ? [] : [spanOf(_source)]));
      } catch (error) {
        throw isAway(error) ? new AppError('unavailable', 'The trace store is away; try again in a moment.', { cause: error }) : error;
      }
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

function isAway(error: unknown): boolean {
  if (error instanceof errors.ResponseError) return (error.statusCode ?? 500) >= 429;
  return error instanceof errors.ElasticsearchClientError && !(error instanceof errors.RequestAbortedError);
}

function authOf({ apiKey, username, password = '' }: TraceStoreOptions) {
  if (apiKey) return { auth: { apiKey } };
  return username ? { auth: { username, password } } : {};
}

export interface TraceStoreOptions {
  /** One address, or several of one cluster with commas between. */
  url: string;
  index: string;
  timeoutMs: number;
  apiKey?: string | undefined;
  username?: string | undefined;
  password?: string | undefined;
  caFile?: string | undefined;
}
