import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { AppError, type ErrorCode, errorCodeEntry, toAppError } from '@biz/errors';
import { JsonError } from '@biz/json';
import { bareHeaders } from './headers.ts';

/** An error as HTTP tells it. */
export type Problem = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string };

export const problemType = 'application/problem+json; charset=utf-8';

/** `type` of a problem document: a name, not an address, so that it stays the same wherever the gateway is. */
export function problemUrn(code: ErrorCode): string {
  return `urn:biz-retail:error:${code}`;
}

/**
 * The problem document (RFC 9457) of an error, and the headers that belong to it: `Retry-After` where trying again can help,
 * `WWW-Authenticate` where a token is the matter (RFC 6750). `more` are members beside the common ones; `status` overrides the code's.
 */
export function problemOf(error: AppError, traceId: string, options: { status?: number; more?: object } = {}): Problem {
  const { http, title } = errorCodeEntry(error.code);
  const status = options.status ?? http;
  const body = {
    type: problemUrn(error.code),
    title,
    status,
    code: error.code,
    detail: error.message,
    trace_id: traceId,
    ...(error.faults.length ? { errors: error.faults } : {}),
    ...options.more,
  };
  return { status, headers: headersOf(error, status), body: JSON.stringify(body) };
}

function headersOf(error: AppError, status: number): Record<string, string> {
  const bearer = error.code === 'token_missing' ? 'Bearer realm="biz"' : 'Bearer realm="biz", error="invalid_token"';
  return {
    'content-type': problemType,
    ...(error.retryAfterSeconds ? { 'retry-after': String(error.retryAfterSeconds) } : {}),
    ...(status === 401 ? { 'www-authenticate': bearer } : {}),
  };
}

/** Anything thrown while a request is served as an AppError: ours, the JSON parser's, the HTTP framework's, or unknown. */
export function requestError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (thrown instanceof JsonError) {
    return new AppError('invalid_json', 'The body is not acceptable JSON.', { faults: [{ path: thrown.path, message: thrown.message }] });
  }
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: unknown };
  const known = frameworkErrors[String(code)];
  if (known) return new AppError(...known);
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') return new AppError('cancelled', 'The caller went away.');
  if (statusCode === 404) return new AppError('not_found', 'There is no such resource.');
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new AppError('invalid_request', 'The request is not well-formed.', { cause: thrown });
  }
  return toAppError(thrown);
}

const frameworkErrors: Partial<Record<string, [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too_large', 'The body is larger than the limit.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported_media_type', 'The body must be JSON, and its content type must say so.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid_request', 'The body has another length than Content-Length says.'],
  FST_ERR_MAX_PARAM_LENGTH: ['invalid_request', 'A part of the path is too long.'],
  FST_ERR_BAD_URL: ['invalid_request', 'The path is not well-formed.'],
};

/** What is told of a request that could not be read as HTTP, by Node's error code; everything else is 400. */
const transportProblems: Partial<Record<string, [number, AppError]>> = {
  HPE_HEADER_OVERFLOW: [431, new AppError('too_large', 'The headers are too large.')],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, new AppError('too_large', 'The chunk extensions are too large.')],
  ERR_HTTP_REQUEST_TIMEOUT: [408, new AppError('timeout', 'The request did not arrive in time.')],
};

/** Answers a request that never became one, on the bare socket, and closes it. Returns the status, or undefined when nobody listens. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket, traceId: string): number | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  const [status, told] = transportProblems[error.code ?? ''] ?? [400, new AppError('invalid_request', 'This is not HTTP.')];
  const problem = problemOf(told, traceId, { status });
  const headers = {
    ...bareHeaders,
    ...problem.headers,
    'x-trace-id': traceId,
    'content-length': Buffer.byteLength(problem.body),
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${problem.body}`);
  return status;
}
