import { hash } from 'node:crypto';
import { AppError } from '@biz/errors';
import type { Log } from '@biz/service';
import { normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientAddress } from '../context.ts';
import { healthPaths } from '../health.ts';
import type { Identify } from '../session/identify.ts';
import { type Count, type Counter, createCounters } from './counter.ts';
import type { LimitSettings } from './settings.ts';

/** Requests to these paths are counted by address a second time, more strictly: they reach the identity provider, and nobody is known yet. */
const loginPaths = new Set(['/v1/auth/login', '/v1/auth/callback', '/v1/auth/logout']);
const health = new Set(healthPaths);

/**
 * Counts every request but those for health, by address before anything else is done for it, by subject once the caller is known, by
 * company before the body is read; one too many throws AppError `rate_limited`. Answers tell the tightest of them (`RateLimit-Limit`, `-Remaining`,
 * `-Reset` in seconds). Gives the identification with the subject's count.
 */
export async function limitRates(app: FastifyInstance, settings: LimitSettings, log: Log): Promise<(identify: Identify) => Identify> {
  const counters = await createCounters(app, settings, log);
  const byAddress = counters('address', settings.RATE_LIMIT_ADDRESS);
  const byLogin = counters('login', settings.RATE_LIMIT_LOGIN);
  const bySubject = counters('subject', settings.RATE_LIMIT_SUBJECT);
  const byCompany = counters('company', settings.RATE_LIMIT_COMPANY);
  app.addHook('onRequest', async (request, reply) => {
    const { url } = request.routeOptions;
    if (url !== undefined && health.has(url)) return;
    const address = normalizeIP(clientAddress(request)); // of IPv6 the /64, which one customer has (RFC 6177)
    await take(byAddress, address, request, reply);
    if (url !== undefined && loginPaths.has(url)) await take(byLogin, address, request, reply);
  });
  app.addHook('preParsing', async (request, reply) => {
    const company = request.call?.company_id;
    if (company) await take(byCompany, company, request, reply);
  });
  return (identify) => async (request, reply) => {
    const principal = await identify(request, reply);
    await take(bySubject, principal.id, request, reply);
    return principal;
  };
}

async function take(counter: Counter, key: string, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const count = await counter(request, opaque(key));
  if (!count) return;
  if (!count.exceeded) return tell(reply, count);
  reply.headers(rateHeaders(count));
  throw new AppError('rate_limited', 'Too many requests; wait as long as Retry-After says.', {
    retryAfterSeconds: Math.max(1, count.resetSeconds),
  });
}

/** The counter that is nearest to its end is told. */
function tell(reply: FastifyReply, count: Count): void {
  const told = reply.getHeader('ratelimit-remaining');
  if (told === undefined || count.remaining < Number(told)) reply.headers(rateHeaders(count));
}

function rateHeaders({ limit, remaining, resetSeconds }: Count): Record<string, string> {
  return { 'ratelimit-limit': String(limit), 'ratelimit-remaining': String(remaining), 'ratelimit-reset': String(resetSeconds) };
}

/** Keys may leave this process, and addresses and ids are not to be read off them; hashed, they can still be guessed, and end with the window. */
function opaque(key: string): string {
  return hash('sha256', key, 'base64url');
}
