import type { Log } from '@biz/service';
import rateLimit, { type RateLimitOptions } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Redis } from 'ioredis';
import type { LimitSettings } from './settings.ts';

/** Where a counter stands after a request was counted. */
export type Count = { readonly limit: number; readonly remaining: number; readonly resetSeconds: number; readonly exceeded: boolean };

/** Counts a request under the key; undefined when nothing is counted, as there is no limit. */
export type Counter = (request: FastifyRequest, key: string) => Promise<Count | undefined>;

/** Makes the counter of one kind of key. `kind` keeps the keys of different kinds apart. */
export type MakeCounter = (kind: string, limit: number) => Counter;

/** Prefix of our keys, where the server has other users too. */
const nameSpace = 'biz:rate:';
/** After a failure, this instance counts alone for so long before it asks again, in milliseconds: a server that hangs delays few requests. */
const pauseMs = 1_000;

type Limiter = (request: FastifyRequest) => Promise<Count | undefined>;
type MakeLimiter = (options: RateLimitOptions) => Limiter;

/**
 * Counters of @fastify/rate-limit in fixed windows: in this process, a bounded number of them, or with a Redis address shared by all
 * gateways. When Redis is away each instance counts alone, which the log says once; a request never fails for it.
 */
export async function createCounters(app: FastifyInstance, settings: LimitSettings, log: Log): Promise<MakeCounter> {
  const own = await makeLimiter(app, {});
  const redis = settings.RATE_LIMIT_REDIS_URL === undefined ? undefined : connect(settings, log);
  if (redis) app.addHook('onClose', async () => redis.client.disconnect());
  const shared = redis && (await makeLimiter(app, { redis: redis.client, nameSpace }));
  return (kind, max) => {
    if (max === 0) return async () => undefined;
    const keys = new WeakMap<FastifyRequest, string>();
    const options = {
      max,
      timeWindow: settings.RATE_LIMIT_WINDOW_SECONDS * 1_000,
      cache: settings.RATE_LIMIT_COUNTERS,
      keyGenerator: (request: FastifyRequest) => `${kind}:${keys.get(request)}`,
    };
    const [alone, together] = [own(options), shared?.(options)];
    return (request, key) => {
      keys.set(request, key);
      return redis && together ? redis.ask(() => together(request)).then((count) => count ?? alone(request)) : alone(request);
    };
  };
}

/** The plugin once more, in a context of its own, since one registration has one kind of store. */
async function makeLimiter(app: FastifyInstance, store: { redis?: Redis; nameSpace?: string }): Promise<MakeLimiter> {
  const made = Promise.withResolvers<MakeLimiter>();
  await app.register(async (context) => {
    await context.register(rateLimit, { global: false, ...store });
    made.resolve((options) => {
      const limiter = context.createRateLimit(options);
      return async (request) => {
        const told = await limiter(request);
        return told.isAllowed
          ? undefined
          : { limit: told.max, remaining: told.remaining, resetSeconds: told.ttlInSeconds, exceeded: told.isExceeded };
      };
    });
  });
  return made.promise;
}

function connect(settings: LimitSettings, log: Log): { client: Redis; ask<T>(count: () => Promise<T>): Promise<T | undefined> } {
  const client = new Redis(settings.RATE_LIMIT_REDIS_URL as string, {
    enableOfflineQueue: false, // a request does not wait for a connection
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    commandTimeout: settings.RATE_LIMIT_REDIS_TIMEOUT_MS,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
  });
  let away = false;
  let pausedUntil = 0;
  const failed = (error: Error) => {
    pausedUntil = Date.now() + pauseMs;
    if (!away) log.warn({ detail: error.message }, 'the shared rate limits are away: this gateway counts alone');
    away = true;
  };
  client.on('error', failed);
  client.on('ready', () => {
    pausedUntil = 0;
  });
  const ask = async <T>(count: () => Promise<T>): Promise<T | undefined> => {
    if (Date.now() < pausedUntil) return undefined;
    try {
      const answer = await count();
      if (away) log.info('the shared rate limits are back');
      away = false;
      return answer;
    } catch (error) {
      failed(error as Error);
      return undefined;
    }
  };
  return { client, ask };
}
