import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '@biz/errors';

/** What helmet gives every answer, for those that it does not reach: of requests that could not be read. */
export const bareHeaders = {
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/** JSON Pointer by which a fault of a header is told; a fault of a field is told by `/field`, wherever the field came from. */
export function headerPath(name: string): string {
  return `/headers/${name}`;
}

/** `X-Company-Id`, or undefined. Throws AppError `invalid_request` when it has no form of an id. */
export function companyHeader(headers: IncomingHttpHeaders): string | undefined {
  return matching(headers, 'x-company-id', /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/, 'is not an id');
}

/** `Idempotency-Key`, or undefined. Throws AppError `invalid_request` when it is not 1 to 128 printable ASCII characters. */
export function idempotencyHeader(headers: IncomingHttpHeaders): string | undefined {
  return matching(headers, 'idempotency-key', /^[\x20-\x7e]{1,128}$/, 'must be 1 to 128 printable ASCII characters');
}

/** A request id of the caller when it can be logged as it is. */
export function requestIdHeader(headers: IncomingHttpHeaders): string | undefined {
  const value = headers['x-request-id'];
  return typeof value === 'string' && /^[A-Za-z0-9._:-]{1,128}$/.test(value) ? value : undefined;
}

/**
 * The version inside an `If-Match` header (RFC 9110, 13.1.1), as text; '' for `*`, which is any version; undefined when the header has
 * another form. A weak tag counts too, since a proxy that compresses weakens tags.
 */
export function versionIn(ifMatch: string): string | undefined {
  return /^(?:\*|(?:W\/)?"(\d{1,16})")$/.exec(ifMatch.trim()) ? ifMatch.replaceAll(/\D/g, '') : undefined;
}

function matching(headers: IncomingHttpHeaders, name: string, form: RegExp, message: string): string | undefined {
  const value = headers[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && form.test(value)) return value;
  throw new AppError('invalid_request', `The header ${name} ${message}.`, { faults: [{ path: headerPath(name), message }] });
}
