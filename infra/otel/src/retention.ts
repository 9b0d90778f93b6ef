import type { Log } from '@biz/service';
import type { Client } from '@elastic/elasticsearch';
import { signals } from './templates.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Begins a new index in every data stream whose index is a day old, or large, and deletes indexes that hold nothing young enough. Needs no
 * lifecycle management of the server (not every Elasticsearch has one), and what it does can be repeated at any point. Gives the names deleted.
 */
export async function applyRetention(client: Client, { keepDays, namespace = '*' }: Kept): Promise<string[]> {
  const deleted: string[] = [];
  for (const stream of await streamsOf(
    client,
    signals.map((signal) => `biz-${signal}-${namespace}`),
  )) {
    await client.indices.rollover({ alias: stream, conditions: { max_age: '1d', max_primary_shard_size: '10gb', min_docs: 1 } });
    const all = await indexesOf(client, stream);
    for (const [place, index] of all.entries()) {
      const next = all[place + 1];
      if (next === undefined) break; // written to
      const newest = Math.min((await newestIn(client, index.name)) ?? 0, next.createdAt);
      if (newest >= Date.now() - keepDays * DAY_MS) continue;
      await client.indices.delete({ index: index.name, ignore_unavailable: true });
      deleted.push(index.name);
    }
  }
  return deleted;
}

/** Applies it now and then again and again, until it is disposed. A server that is away is told of once a round, and no reason to end. */
export function startRetention(client: Client, options: Kept & { everyMs: number; log: Pick<Log, 'info' | 'warn'> }): AsyncDisposable {
  const { log, everyMs } = options;
  const round = async () => {
    try {
      const deleted = await applyRetention(client, options);
      if (deleted.length > 0) log.info({ deleted }, 'telemetry past its time is deleted');
    } catch (error) {
      log.warn({ err: error }, 'telemetry could not be looked through; tried again later');
    }
  };
  let running = round();
  const timer = setInterval(() => {
    running = running.then(round);
  }, everyMs);
  timer.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await running;
    },
  };
}

async function streamsOf(client: Client, patterns: string[]): Promise<string[]> {
  return [...new Set((await backing(client, patterns)).map(({ stream }) => stream))].sort();
}

/** The indexes behind a data stream in the order in which they were written to. */
async function indexesOf(client: Client, stream: string): Promise<Backing[]> {
  const all = await backing(client, [stream]);
  return all.toSorted((left, right) => left.createdAt - right.createdAt || left.name.localeCompare(right.name));
}

/** By the plain index API: the one of data streams is not in every Elasticsearch. */
async function backing(client: Client, names: string[]): Promise<Backing[]> {
  const found = await client.indices.get({
    index: names,
    expand_wildcards: ['open', 'hidden'],
    ignore_unavailable: true,
    allow_no_indices: true,
  });
  return Object.entries(found).flatMap(([name, { data_stream: stream, settings }]) =>
    stream === undefined ? [] : [{ name, stream, createdAt: Number(settings?.index?.creation_date ?? 0) }],
  );
}

/** The time of its newest document, in milliseconds since 1970; undefined when it has none. */
async function newestIn(client: Client, index: string): Promise<number | undefined> {
  const { hits } = await client.search({
    ...{ index, size: 1, sort: [{ '@timestamp': { order: 'desc', format: 'epoch_millis', numeric_type: 'date' } }] },
    ...{ _source: false, track_total_hits: false },
  });
  const value = hits.hits[0]?.sort?.[0];
  return value === undefined || value === null ? undefined : Number(value);
}

export interface Kept {
  /** Days that a document is found for at least; an index goes when its newest one is older. */
  keepDays: number;
  /** Of which environment, when several share a cluster; all by default. */
  namespace?: string;
}

interface Backing {
  name: string;
  stream: string;
  createdAt: number;
}
