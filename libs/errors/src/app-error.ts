import { type ErrorCode, errorCodeEntry } from './codes.ts';

/** One fault of a request: where (JSON Pointer, RFC 6901; '' is the whole) and what. */
export type Fault = { readonly path: string; readonly message: string };

export type AppErrorOptions = {
  readonly faults?: readonly Fault[];
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
  readonly withheld?: Withheld | undefined;
};

/** Reasons that a caller is not told: to it, what another company or client has does not exist. */
export type Withheld = 'wrong_company' | 'wrong_client';

/** The one error class of the project. `message` is for the caller: it names the fault and holds no personal data. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly faults: readonly Fault[];
  readonly retryAfterSeconds: number | undefined;
  /** Why it is really refused, where the caller hears less. It travels between processes and into security events, never to a caller. */
  readonly withheld: Withheld | undefined;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.faults = options.faults ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds ?? errorCodeEntry(code).retryAfterSeconds;
    this.withheld = options.withheld;
  }
}

/** Names of errors that say an engine is away, of the MongoDB driver, kafkajs and Node's sockets. */
const unavailableNames = new Set([
  'MongoNetworkError',
  'MongoNetworkTimeoutError',
  'MongoServerSelectionError',
  'MongoTopologyClosedError',
  'MongoPoolClearedError',
  'MongoPoolClosedError',
  'MongoWaitQueueTimeoutError',
  'MongoNotConnectedError',
  'MongoClientClosedError',
  'MongoOperationTimeoutError',
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNumberOfRetriesExceeded',
]);
const unavailableSystemCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOSPC']);

/** Server codes of MongoDB for: not primary, shutting down, write concern time-out, out of disk. */
const unavailableMongoCodes = new Set([64, 91, 189, 10107, 11600, 11602, 13435, 13436, 14031]);

/** What a server of MongoDB's kind says when its storage engine gave up, mostly for lack of room; it has no code of its own. */
const unavailableMongoText = /WT_PANIC|No space left on device/;

/**
 * Whether an error says that an engine is away, so that the same call may succeed later. The decision between "try again" and "broken"
 * is taken here and nowhere else: an audit consumer never dead-letters what this is true for.
 */
export function isUnavailable(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if (at instanceof AppError && (at.code === 'unavailable' || at.code === 'timeout')) return true;
    if (unavailableNames.has(at.name)) return true;
    const code = (at as { code?: unknown }).code;
    if (typeof code === 'string' && unavailableSystemCodes.has(code)) return true;
    if (typeof code === 'number' && at.name.startsWith('Mongo') && unavailableMongoCodes.has(code)) return true;
    if (at.name.startsWith('Mongo') && unavailableMongoText.test(at.message)) return true;
  }
  return false;
}

/** Anything thrown becomes an AppError: an engine that is away `unavailable`, the unknown `internal` with the cause kept for the log. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Error && error.name === 'AbortError') return new AppError('cancelled', 'The call was cancelled.', { cause: error });
  if (isUnavailable(error)) return new AppError('unavailable', 'A part of the system is away; try again in a moment.', { cause: error });
  return new AppError('internal', 'Something went wrong on our side; the trace id finds it in the logs.', { cause: error });
}
