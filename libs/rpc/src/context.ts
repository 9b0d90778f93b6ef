import { AppError } from '@biz/errors';
import { Metadata } from '@grpc/grpc-js';

/** Who calls, on whose behalf, and from where: made by the gateway from the verified token, or by a service for itself. */
export type CallContext = {
  readonly actor: { readonly id: string; readonly type: 'user' | 'service'; readonly name?: string };
  /** The role recorded as `owner_role`: the one that the call was allowed by. */
  readonly role: string;
  readonly roles: readonly string[];
  /** The company that the call is about: chosen among the caller's, never free. Null when none was chosen (platform people, services). */
  readonly company_id: string | null;
  /** Companies of the caller; `['*']` is every company and what belongs to none. */
  readonly companies: readonly string[];
  readonly clients: readonly string[];
  /** The client's address by the trusted-proxy rule. */
  readonly ip: string;
  /** W3C trace context of the request, and the trace id in it. */
  readonly traceparent: string;
  readonly trace_id: string;
  readonly request_id: string;
  readonly idempotency_key?: string;
};

/** Binary metadata key of the call context. It counts only from a peer that proved by its certificate to be of the fleet. */
export const contextKey = 'biz-context-bin';

/** Longest context taken, in bytes; a token's companies and clients fit many times. */
const maxContextBytes = 16_384;

/** The company wildcard of platform people and services. */
export const everyCompany = '*';

/** Whether the caller may see every company. */
export function spansCompanies(context: CallContext): boolean {
  return context.companies.includes(everyCompany);
}

/** The metadata that carries a context to another process. */
export function contextMetadata(context: CallContext): Metadata {
  const metadata = new Metadata();
  metadata.set(contextKey, Buffer.from(JSON.stringify(context)));
  if (context.traceparent) metadata.set('traceparent', context.traceparent);
  return metadata;
}

/** Reads the context of a call; throws AppError `token_missing` when there is none, `token_invalid` when it is not of the form. */
export function readContext(metadata: Metadata): CallContext {
  const [bytes] = metadata.get(contextKey);
  if (bytes === undefined) throw new AppError('token_missing', 'The call has no call context.');
  if (bytes.length > maxContextBytes) throw new AppError('token_invalid', 'The call context is too large.');
  const value = parse(bytes.toString());
  if (!isContext(value)) throw new AppError('token_invalid', 'The call context is not of the form.');
  return value;
}

/** The context of a service that acts by itself, not for a caller (reactors, seeding, delivery). */
export function serviceContext(
  name: string,
  trace: { readonly traceparent: string; readonly trace_id: string },
  over: Partial<CallContext> = {},
): CallContext {
  return {
    actor: { id: name, type: 'service', name },
    role: 'service',
    roles: [],
    company_id: null,
    companies: [everyCompany],
    clients: [],
    ip: '127.0.0.1',
    request_id: trace.trace_id,
    ...trace,
    ...over,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isContext(value: unknown): value is CallContext {
  if (typeof value !== 'object' || value === null) return false;
  const context = value as Record<string, unknown>;
  const actor = context.actor as Record<string, unknown> | null | undefined;
  return (
    typeof actor === 'object' &&
    actor !== null &&
    isText(actor.id) &&
    (actor.type === 'user' || actor.type === 'service') &&
    [context.role, context.ip, context.traceparent, context.trace_id, context.request_id].every((part) => typeof part === 'string') &&
    (context.company_id === null || isText(context.company_id)) &&
    [context.roles, context.companies, context.clients].every((part) => Array.isArray(part) && part.every(isText)) &&
    (context.idempotency_key === undefined || isText(context.idempotency_key))
  );
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
