import { AppError, type ErrorCode, errorCodeEntry, type Fault, isErrorCode, type Withheld } from '@biz/errors';
import { protoRoot } from '@biz/protos';
import { Metadata, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const detailsKey = 'grpc-status-details-bin';
const domain = 'biz-retail';
const typeUrl = 'type.googleapis.com/';
/** Room for the details among the trailers (HTTP/2 header lists are small); faults that do not fit are left out. */
const maxDetailsBytes = 6_000;

const types = new protobuf.Root();
types.resolvePath = (_origin, target) => `${protoRoot}/${target}`;
types.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto'], { keepCase: true });
const Status = types.lookupType('google.rpc.Status');
const ErrorInfo = types.lookupType('google.rpc.ErrorInfo');
const BadRequest = types.lookupType('google.rpc.BadRequest');
const RetryInfo = types.lookupType('google.rpc.RetryInfo');

/** An AppError as a gRPC status with google.rpc details (AIP-193): ErrorInfo, and BadRequest and RetryInfo when there is something to say. */
export function statusOf(error: AppError): StatusObject {
  const { grpc } = errorCodeEntry(error.code);
  const metadata = new Metadata();
  metadata.set(detailsKey, encodeDetails(error, grpc));
  return { code: grpc, details: error.message, metadata };
}

function encodeDetails(error: AppError, grpc: number): Buffer {
  for (let faults = error.faults; ; faults = faults.slice(0, Math.floor(faults.length / 2))) {
    const details = [
      any(ErrorInfo, { reason: error.code.toUpperCase(), domain, ...(error.withheld && { metadata: { withheld: error.withheld } }) }),
      ...(faults.length
        ? [any(BadRequest, { field_violations: faults.map(({ path, message }) => ({ field: path, description: message })) })]
        : []),
      ...(error.retryAfterSeconds ? [any(RetryInfo, { retry_delay: { seconds: error.retryAfterSeconds } })] : []),
    ];
    const bytes = Buffer.from(Status.encode({ code: grpc, message: error.message, details }).finish());
    if (bytes.length <= maxDetailsBytes || faults.length === 0) return bytes;
  }
}

/** What grpc-js throws at a client as an AppError again, details included; a peer without details is read by its status code. */
export function fromServiceError(error: ServiceError): AppError {
  const [bytes] = error.metadata?.get(detailsKey) ?? [];
  const details = bytes instanceof Buffer ? decodeDetails(bytes) : undefined;
  if (details) return new AppError(details.code, error.details, { ...details, cause: error });
  return new AppError(codeOfStatus(error.code), publicMessage(error), { cause: error });
}

type Details = { code: ErrorCode; faults: Fault[]; retryAfterSeconds?: number; withheld?: Withheld | undefined };

function decodeDetails(bytes: Buffer): Details | undefined {
  const status = decode<{ details?: { type_url: string; value: Uint8Array }[] }>(Status, bytes);
  let code: ErrorCode | undefined;
  let faults: Fault[] = [];
  let retryAfterSeconds: number | undefined;
  let withheld: Withheld | undefined;
  for (const { type_url, value } of status?.details ?? []) {
    if (type_url === `${typeUrl}google.rpc.ErrorInfo`) {
      const info = decode<{ reason: string; metadata: Record<string, string> }>(ErrorInfo, value);
      const reason = info?.reason.toLowerCase() ?? '';
      if (isErrorCode(reason)) code = reason;
      withheld = reasonsWithheld.find((one) => one === info?.metadata.withheld);
    } else if (type_url === `${typeUrl}google.rpc.BadRequest`) {
      const violations = decode<{ field_violations: { field: string; description: string }[] }>(BadRequest, value)?.field_violations ?? [];
      faults = violations.map(({ field, description }) => ({ path: field, message: description }));
    } else if (type_url === `${typeUrl}google.rpc.RetryInfo`) {
      retryAfterSeconds = Number(decode<{ retry_delay?: { seconds: unknown } }>(RetryInfo, value)?.retry_delay?.seconds ?? 0);
    }
  }
  return code && { code, faults, withheld, ...(retryAfterSeconds ? { retryAfterSeconds } : {}) };
}

const reasonsWithheld: readonly Withheld[] = ['wrong_company', 'wrong_client'];

function any(type: protobuf.Type, value: object): { type_url: string; value: Uint8Array } {
  return { type_url: typeUrl + type.fullName.slice(1), value: type.encode(value).finish() };
}

function decode<T>(type: protobuf.Type, bytes: Uint8Array): T | undefined {
  try {
    return type.decode(bytes) as unknown as T;
  } catch {
    return undefined; // details of a peer that is not ours
  }
}

const codeOfGrpc: Partial<Record<number, ErrorCode>> = {
  1: 'cancelled',
  3: 'invalid_request',
  4: 'timeout',
  5: 'not_found',
  6: 'already_exists',
  7: 'no_role',
  8: 'too_large',
  9: 'conflict',
  10: 'version_conflict',
  12: 'unimplemented',
  14: 'unavailable',
  16: 'token_invalid',
};

function codeOfStatus(code: number): ErrorCode {
  return codeOfGrpc[code] ?? 'internal';
}

function publicMessage(error: ServiceError): string {
  switch (codeOfStatus(error.code)) {
    case 'unavailable':
      return 'A service is away; try again in a moment.';
    case 'timeout':
      return 'The service did not answer in time.';
    case 'too_large':
      return 'The message is too large.';
    default:
      return 'The service could not answer.';
  }
}
