import type { AppError } from '@biz/errors';
import { refusalType, type SecurityEventDraft, type SecurityEventType } from '@biz/security-events';
import { newId, rfc3339 } from '@biz/service';
import type { FastifyRequest } from 'fastify';
import { clientAddress } from '../context.ts';

/** A security event as the gateway tells it, `details` not yet as text. */
export interface Draft extends Omit<SecurityEventDraft, 'details'> {
  action: string;
  request_id: string;
  details: Record<string, string | number>;
  count: number;
}

const longestAgent = 500;

/**
 * The event of a refusal; undefined for errors that turn nobody away for who it is. Where the caller is told that there is no such thing,
 * the event says why it is not there for them.
 */
export function refusalDraft(error: AppError, request: FastifyRequest): Draft | undefined {
  const code = error.withheld ?? error.code;
  const type = refusalType(code);
  return type && { ...draft(type, request), error_message: code, details: triedOf(error, request) };
}

/** The event of a read that opened personal data. */
export function grantDraft(request: FastifyRequest): Draft {
  return draft('ACCESS_GRANTED', request);
}

/** Events of one key are repetitions of the same. Ids of traces and requests differ and do not count. */
export function foldKey({ event_type, user_id, ip, error_message, action, resource, company_id }: Draft): string {
  return [event_type, user_id ?? `ip:${ip}`, error_message, action, resource, company_id].join('\0');
}

/** Never what was sent: no token, no cookie, no body, no query; the route as its pattern. */
function draft(event_type: SecurityEventType, request: FastifyRequest): Draft {
  const { principal, call } = request;
  const at = rfc3339();
  const role = call?.role ?? principal?.roles[0];
  const company = call?.company_id ?? only(principal?.companies);
  const client = only(principal?.clients);
  const agent = request.headers['user-agent']?.slice(0, longestAgent).toWellFormed();
  const address = clientAddress(request);
  return {
    ...{ event_id: newId(), event_type, action: request.method, request_id: request.id, trace_id: request.trace.trace_id },
    ...(request.routeOptions.url && { resource: request.routeOptions.url }),
    ...(principal && { user_id: principal.id }),
    ...(principal?.email && { user_email: principal.email }),
    ...(role && { user_role: role }),
    ...(company && { company_id: company }),
    ...(client && { client_id: client }),
    ...(address && { ip: address }),
    ...(agent && { user_agent: agent }),
    ...{ details: {}, count: 1, first_at: at, last_at: at },
  };
}

/** A tenant, not the wildcard of platform people, and not one of several. */
function only(ids: readonly string[] | undefined): string | undefined {
  return ids?.length === 1 && ids[0] !== '*' ? ids[0] : undefined;
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** What somebody reached for in vain, as far as it has the form of our ids: any other text could be anything. */
function triedOf({ withheld, code }: AppError, { headers, params }: FastifyRequest): Record<string, string> {
  const company = headers['x-company-id'];
  if (code === 'wrong_company' && typeof company === 'string' && uuid.test(company)) return { tried_company_id: company };
  const { id } = (params ?? {}) as { id?: unknown };
  return withheld && typeof id === 'string' && uuid.test(id) ? { tried_id: id } : {};
}
