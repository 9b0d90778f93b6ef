import { isIP } from 'node:net';
import { AppError } from '@biz/errors';
import type { MethodModel } from '@biz/protos';
import { actingRole, type CallContext, everyCompany } from '@biz/rpc';
import type { FastifyRequest } from 'fastify';
import { type Principal, rolesIn } from './auth.ts';
import { companyHeader, idempotencyHeader } from './headers.ts';

/**
 * The call context of a request: the caller by the token, the company by `X-Company-Id` among the token's own, the address by the
 * trusted-proxy rule. Throws AppError `wrong_company` or `invalid_request`.
 */
export function callContext(request: FastifyRequest, principal: Principal, method: MethodModel): CallContext {
  const key = method.http?.verb === 'get' ? undefined : idempotencyHeader(request.headers);
  const company_id = chosenCompany(principal.companies, companyHeader(request.headers));
  const roles = rolesIn(principal, company_id);
  return {
    actor: { id: principal.id, type: 'user' },
    role: actingRole(method, roles),
    roles,
    company_id,
    companies: principal.companies,
    clients: principal.clients,
    ip: clientAddress(request),
    traceparent: request.trace.traceparent,
    trace_id: request.trace.trace_id,
    request_id: request.id,
    ...(key === undefined ? {} : { idempotency_key: key }),
  };
}

/** The named company when it is the caller's, or the only one; null when none is chosen. Whether that will do is the method's business. */
export function chosenCompany(companies: readonly string[], named: string | undefined): string | null {
  const everywhere = companies.includes(everyCompany);
  if (named === undefined) return companies.length === 1 && !everywhere ? (companies[0] ?? null) : null;
  if (everywhere || companies.includes(named)) return named;
  if (companies.length === 0) return null; // told as no_company
  throw new AppError('wrong_company', 'X-Company-Id names a company that is not yours.');
}

/** The client's address; what a trusted proxy passes on but is no address is not believed. */
export function clientAddress(request: FastifyRequest): string {
  const address = isIP(request.ip) ? request.ip : (request.socket.remoteAddress ?? '');
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}
