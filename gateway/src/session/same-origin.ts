import { AppError } from '@biz/errors';
import type { FastifyRequest } from 'fastify';

/** Sent by our own pages with every change; another site's page cannot send it without a preflight, which is never granted. */
export const csrfHeader = 'x-csrf';

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Proof that a request with a session cookie comes from a page of ours, asked for wherever something changes: `Sec-Fetch-Site: same-origin`
 * (Fetch Metadata) or, from browsers without it, our own `Origin`; what is there must be right. And the header `X-CSRF: 1`, which makes every
 * such request one that a browser asks leave for first. Throws AppError `cross_site_request`.
 */
export function assertSameOrigin({ method, headers }: Pick<FastifyRequest, 'method' | 'headers'>, origin: string): void {
  if (safeMethods.has(method)) return;
  const { 'sec-fetch-site': site, origin: from } = headers;
  const isOurs = (site === undefined || site === 'same-origin') && (from === undefined || from === origin);
  if (!isOurs || (site === undefined && from === undefined)) {
    throw new AppError('cross_site_request', 'A change by session must come from a page of this origin; programs use a bearer token.');
  }
  if (headers[csrfHeader] !== '1') throw new AppError('cross_site_request', 'A change by session needs the header "X-CSRF: 1".');
}
