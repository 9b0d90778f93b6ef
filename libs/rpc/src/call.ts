import { AppError } from '@biz/errors';
import { type Contract, type MethodModel, requestFaults } from '@biz/protos';
import type { ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { assertMay, assertOwnClient } from './access.ts';
import { type CallContext, readContext } from './context.ts';
import { limits } from './limits.ts';
import { processOf, type TlsFiles } from './tls.ts';

/** What a handler knows of a call besides the request. */
export type Call = {
  readonly context: CallContext;
  readonly method: MethodModel;
  /** The process that called, from its certificate. */
  readonly peer: string;
  /** Aborted when the caller went away, the deadline passed, or the server stops and has waited long enough. */
  readonly signal: AbortSignal;
  readonly deadline: Date;
};

/** A handler gets a request that kept every rule of the proto, from a caller that has a role for it. It throws AppError. */
// biome-ignore lint/suspicious/noExplicitAny: the one cast where proto-loader's types enter; each handler names its own request type
export type Handler = (request: any, call: Call) => Promise<object>;

/**
 * The handler of a method with a `stream` answer: the same promises. Its messages are pulled one by one, as fast as the caller takes them.
 * When the call ends early the signal is aborted and the iterable is returned from, so that a generator's `finally` runs.
 */
// biome-ignore lint/suspicious/noExplicitAny: as above
export type StreamHandler = (request: any, call: Call) => AsyncIterable<object>;

/** By name of method. A method with a stream for an answer needs a StreamHandler, any other a Handler. */
export type Handlers = Readonly<Record<string, Handler | StreamHandler>>;

export type RpcLog = {
  error(data: object, message: string): void;
  info(data: object, message: string): void;
  debug(data: object, message: string): void;
};

export type RpcServerOptions = {
  readonly contract: Contract;
  /** Full names of the services that this process offers; every method of them needs a handler. */
  readonly services: readonly string[];
  readonly handlers: Handlers;
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  readonly tls: TlsFiles;
  /** Processes that may call; empty: any with a certificate of the fleet. */
  readonly allowedPeers?: readonly string[];
  /** The reflection service, for people with grpcurl on a local fleet. */
  readonly reflection?: boolean;
  readonly log: RpcLog;
};

/** A call as grpc-js gives it, with one answer or with many. */
export type RawCall = ServerUnaryCall<object, object> | ServerWritableStream<object, object>;

/** The signal and deadline of a call; a call without a deadline gets the default one. */
export type CallScope = {
  readonly signal: AbortSignal;
  readonly deadline: Date;
  /** Resolves once the handler is done. */
  readonly closed: Promise<void>;
  abort(reason: AppError): void;
  close(): void;
};

export function callScope(raw: RawCall, method: MethodModel): CallScope {
  const controller = new AbortController();
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const given = raw.getDeadline();
  const latest = Date.now() + (method.rules.deadline_ms || limits.deadlineMs);
  const deadline = new Date(Math.min(given instanceof Date ? given.getTime() : given, latest));
  const timer = setTimeout(
    () => controller.abort(new AppError('timeout', 'The deadline has passed.')),
    Math.max(0, deadline.getTime() - Date.now()),
  );
  raw.on('cancelled', () => controller.abort(new AppError('cancelled', 'The caller went away.')));
  const close = () => {
    clearTimeout(timer);
    resolve();
  };
  return { signal: controller.signal, deadline, closed, abort: (reason) => controller.abort(reason), close };
}

/** Who calls and what for, once every check has passed: peer, context, role, company, the proto's rules. Throws AppError. */
export function admit(raw: RawCall, method: MethodModel, options: RpcServerOptions, scope: CallScope): Call {
  const peer = peerOf(raw, options);
  const context = readContext(raw.metadata);
  assertMay(method, context);
  const faults = requestFaults(method, raw.request);
  if (faults.length) throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
  assertOwnClient(raw.request, context);
  return { context, method, peer, signal: scope.signal, deadline: scope.deadline };
}

function peerOf(raw: RawCall, options: RpcServerOptions): string {
  const peer = processOf(raw.getAuthContext().sslPeerCertificate);
  if (!peer) throw new AppError('token_invalid', 'The certificate names no process of the fleet.');
  const allowed = options.allowedPeers ?? [];
  if (allowed.length && !allowed.includes(peer)) throw new AppError('no_role', `The process "${peer}" may not call this service.`);
  return peer;
}

/** Server-Sent Events: what is continued by `Last-Event-ID` goes on until somebody ends it. */
export function isEndless({ responseStream, request }: MethodModel): boolean {
  return responseStream && request.fields.some(({ rules }) => rules.header === 'last-event-id');
}
