import { type ErrorCode, errorCodeEntry } from '@biz/errors';
import { type Context, contextWith, counter, histogram, openSpan, type Span, SpanKind, SpanStatusCode } from '@biz/telemetry';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** The span of a request, and the context in which everything that is done for it runs. */
export type RequestSpan = { readonly span: Span; readonly context: Context; told: boolean };

const durations = histogram('http.server.request.duration');
const refusals = counter('biz.gateway.refusals');

/** Methods that a span or a metric names; a client may send any other, too (RFC 9110, and OpenTelemetry's conventions for HTTP). */
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']);

/**
 * Begins the span of a request, continuing the client's `traceparent`. It is made here and not by an instrumentation, since those note the
 * path, the query and the user agent of each request, and make a span of each hook; none of that may or need leave.
 */
export function openRequestSpan(request: FastifyRequest): RequestSpan {
  const { traceparent } = request.headers;
  const { method, route } = labelsOf(request);
  const { span, context } = openSpan(route === undefined ? method : `${method} ${route}`, {
    kind: SpanKind.SERVER,
    parent: typeof traceparent === 'string' ? traceparent : undefined,
    attributes: { 'http.request.method': method, ...(route !== undefined && { 'http.route': route }) },
  });
  return { span, context, told: false };
}

/**
 * Ends the span of a request and counts it, once: when its answer is sent or broken off, and of a stream of events already when it begins,
 * since it has no end of its own.
 */
export function tellRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  ended: { readonly status: number; readonly code?: ErrorCode | undefined },
): void {
  const { requestSpan, call } = request;
  if (requestSpan.told) return;
  requestSpan.told = true;
  const { span } = requestSpan;
  const { status, code } = ended;
  const { method, route } = labelsOf(request);
  span.setAttribute('http.response.status_code', status);
  if (call?.company_id) span.setAttribute('biz.company_id', call.company_id);
  if (code !== undefined) span.setAttribute('error.type', code);
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
  durations.record(reply.elapsedTime / 1_000, {
    'http.request.method': method,
    'http.response.status_code': status,
    ...(route !== undefined && { 'http.route': route }),
    ...(code !== undefined && { 'error.type': code }),
  });
}

/** How a request ended: its status, and the code of the error that it was answered or broken off with. */
export function endOf(request: FastifyRequest, reply: FastifyReply): { status: number; code: ErrorCode | undefined } {
  if (reply.raw.writableFinished) return { status: reply.statusCode, code: request.failed ?? undefined };
  const code = request.broken ?? 'cancelled';
  return { status: errorCodeEntry(code).http, code };
}

/** Counts a caller that was turned away for who it is. */
export function countRefusal(code: ErrorCode): void {
  refusals.add(1, { 'error.type': code });
}

/** Runs work in the context of a request: at the events of its socket, which belong to none. */
export function inRequest(request: FastifyRequest, work: () => void): void {
  contextWith(request.requestSpan.context, work);
}

function labelsOf(request: FastifyRequest): { method: string; route: string | undefined } {
  return { method: methods.has(request.method) ? request.method : '_OTHER', route: request.routeOptions.url };
}
