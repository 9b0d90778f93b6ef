/** Everything that is known of one error code: how it is told over gRPC and over HTTP. */
export type ErrorCodeEntry = {
  /** Numeric gRPC status (google.rpc.Code). */
  readonly grpc: number;
  /** HTTP status (RFC 9110; 428 and 429 are RFC 6585). */
  readonly http: number;
  /** `title` of the problem document (RFC 9457): the same for every occurrence. */
  readonly title: string;
  /** Default for `Retry-After`; only for codes where trying again can help. */
  readonly retryAfterSeconds?: number;
};

/**
 * The closed list of error codes. `code` of a problem document and `reason` of a gRPC ErrorInfo (upper case) come from here and from
 * nowhere else; `docs/errors.md` is checked against it.
 */
export const errorCodes = {
  invalid_request: { grpc: 3, http: 400, title: 'The request does not fit the contract' },
  invalid_json: { grpc: 3, http: 400, title: 'The body is not acceptable JSON' },
  company_required: { grpc: 9, http: 400, title: 'Several companies: name one with X-Company-Id' },
  login_failed: { grpc: 9, http: 400, title: 'The login was not completed' },
  token_missing: { grpc: 16, http: 401, title: 'A bearer token or a session is required' },
  token_invalid: { grpc: 16, http: 401, title: 'The token is not valid' },
  token_expired: { grpc: 16, http: 401, title: 'The token has expired' },
  no_role: { grpc: 7, http: 403, title: 'No role of the caller allows this' },
  no_company: { grpc: 7, http: 403, title: 'The caller belongs to no company' },
  wrong_company: { grpc: 7, http: 403, title: 'Not a company of the caller' },
  wrong_client: { grpc: 7, http: 403, title: 'Not a client of the caller' },
  cross_site_request: { grpc: 7, http: 403, title: 'Not from a page of ours' },
  not_found: { grpc: 5, http: 404, title: 'Not found' },
  method_not_allowed: { grpc: 12, http: 405, title: 'The resource does not have this method' },
  already_exists: { grpc: 6, http: 409, title: 'Already exists' },
  conflict: { grpc: 9, http: 409, title: 'Conflicts with the present state' },
  version_conflict: { grpc: 10, http: 409, title: 'Somebody else changed it at the same moment', retryAfterSeconds: 1 },
  idempotency_conflict: { grpc: 6, http: 409, title: 'The Idempotency-Key was used for another request' },
  version_mismatch: { grpc: 10, http: 412, title: 'The version is not the present one' },
  too_large: { grpc: 8, http: 413, title: 'Too large' },
  unsupported_media_type: { grpc: 3, http: 415, title: 'The content type is not supported' },
  precondition_required: { grpc: 9, http: 428, title: 'If-Match is required' },
  rate_limited: { grpc: 8, http: 429, title: 'Too many requests', retryAfterSeconds: 1 },
  cancelled: { grpc: 1, http: 499, title: 'The caller went away' },
  internal: { grpc: 13, http: 500, title: 'Internal error' },
  unimplemented: { grpc: 12, http: 501, title: 'Not implemented' },
  unavailable: { grpc: 14, http: 503, title: 'Temporarily unavailable', retryAfterSeconds: 2 },
  timeout: { grpc: 4, http: 504, title: 'Took too long', retryAfterSeconds: 2 },
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof errorCodes;

/** Whether a text is one of our codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}

/** The entry of a code, with the optional parts typed. */
export function errorCodeEntry(code: ErrorCode): ErrorCodeEntry {
  return errorCodes[code];
}
