import { AppError, toAppError } from '@biz/errors';
import { type Contract, type MethodModel, requestFaults } from '@biz/protos';
import { Server, type ServerUnaryCall, type ServiceDefinition, type sendUnaryData, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { assertMay } from './access.ts';
import { type CallContext, readContext } from './context.ts';
import { limits, serverOptions } from './limits.ts';
import { statusOf } from './status.ts';
import { processOf, serverCredentials, type TlsFiles } from './tls.ts';

/** What a handler knows of a call besides the request. */
export type Call = {
  readonly context: CallContext;
  readonly method: MethodModel;
  /** The process that called, from its certificate. */
  readonly peer: string;
  /** Aborted when the caller went away or the deadline passed. */
  readonly signal: AbortSignal;
  readonly deadline: Date;
};

/** A handler gets a request that kept every rule of the proto, from a caller that has a role for it. It throws AppError. */
// biome-ignore lint/suspicious/noExplicitAny: the one cast where proto-loader's types enter; each handler names its own request type
export type Handler = (request: any, call: Call) => Promise<object>;

export type RpcLog = {
  error(data: object, message: string): void;
  info(data: object, message: string): void;
  debug(data: object, message: string): void;
};

export type RpcServerOptions = {
  readonly contract: Contract;
  /** Full names of the services that this process offers; every method of them needs a handler. */
  readonly services: readonly string[];
  readonly handlers: Readonly<Record<string, Handler>>;
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  readonly tls: TlsFiles;
  /** Processes that may call; empty: any with a certificate of the fleet. */
  readonly allowedPeers?: readonly string[];
  /** The reflection service, for people with grpcurl on a local fleet. */
  readonly reflection?: boolean;
  readonly log: RpcLog;
};

export type RpcServer = AsyncDisposable & {
  /** `host:port` that it listens on. */
  readonly address: string;
  /** What the standard health service answers; a server starts as serving. */
  setServing(serving: boolean): void;
};

/** How long calls at work may still take when the server stops, in milliseconds. */
const drainMs = 5_000;

/**
 * Starts a gRPC server over mutual TLS: the call context is read and checked, roles and field rules are those of the proto, errors leave as
 * statuses with details. Throws when a method has no handler or the address is taken.
 */
export async function createRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const server = new Server(serverOptions);
  const inFlight = { count: 0 };
  for (const name of options.services) {
    const definition = options.contract.packageDefinition[name] as ServiceDefinition | undefined;
    if (!definition) throw new Error(`The contract has no service ${name}.`);
    const methods = options.contract.service(name).methods.map((method) => [method.name, implementation(method, options, inFlight)]);
    server.addService(definition, Object.fromEntries(methods) as UntypedServiceImplementation);
  }
  const health = new HealthImplementation(Object.fromEntries(['', ...options.services].map((name) => [name, 'SERVING' as const])));
  health.addToServer(server);
  if (options.reflection) new ReflectionService(options.contract.packageDefinition).addToServer(server);
  const port = await bind(server, options);
  const setServing = (serving: boolean) => {
    for (const name of ['', ...options.services]) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  };
  return {
    address: `${options.listen.split(':')[0]}:${port}`,
    setServing,
    async [Symbol.asyncDispose]() {
      setServing(false);
      await drain(server);
    },
  };
}

function bind(server: Server, options: RpcServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(options.listen, serverCredentials(options.tls), (error, port) => {
      if (error) reject(new Error(`Cannot listen on ${options.listen}: ${error.message}`, { cause: error }));
      else resolve(port);
    });
  });
}

function drain(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), drainMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

type Unary = ServerUnaryCall<object, object>;

function implementation(method: MethodModel, options: RpcServerOptions, inFlight: { count: number }) {
  const handler = options.handlers[method.name];
  if (!handler) throw new Error(`${method.path} has no handler.`);
  return async (unary: Unary, reply: sendUnaryData<object>): Promise<void> => {
    const started = performance.now();
    const scope = callScope(unary, method);
    let context: CallContext | undefined;
    inFlight.count += 1;
    try {
      if (inFlight.count > limits.callsInFlight) throw new AppError('unavailable', 'Too many calls at work; try again in a moment.');
      const peer = peerOf(unary, options);
      context = readContext(unary.metadata);
      assertMay(method, context);
      const faults = requestFaults(method, unary.request);
      if (faults.length) throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
      const answer = await handler(unary.request, { context, method, peer, signal: scope.signal, deadline: scope.deadline });
      reply(null, answer);
      options.log.debug({ rpc: method.path, trace_id: context.trace_id, ms: elapsed(started) }, 'answered');
    } catch (thrown) {
      const error = toAppError(thrown);
      reply(statusOf(error));
      const entry = { rpc: method.path, code: error.code, trace_id: context?.trace_id, ms: elapsed(started) };
      if (error.code === 'internal' || error.code === 'unavailable') options.log.error({ ...entry, err: error.cause ?? error }, 'failed');
      else options.log.info(entry, 'refused');
    } finally {
      inFlight.count -= 1;
      scope.close();
    }
  };
}

function elapsed(started: number): number {
  return Math.round((performance.now() - started) * 10) / 10;
}

function peerOf(unary: Unary, options: RpcServerOptions): string {
  const peer = processOf(unary.getAuthContext().sslPeerCertificate);
  if (!peer) throw new AppError('token_invalid', 'The certificate names no process of the fleet.');
  const allowed = options.allowedPeers ?? [];
  if (allowed.length && !allowed.includes(peer)) throw new AppError('no_role', `The process "${peer}" may not call this service.`);
  return peer;
}

/** The signal and deadline of a call; a call without a deadline gets the default one. */
function callScope(unary: Unary, method: MethodModel): { signal: AbortSignal; deadline: Date; close(): void } {
  const controller = new AbortController();
  const given = unary.getDeadline();
  const latest = Date.now() + (method.rules.deadline_ms || limits.deadlineMs);
  const deadline = new Date(Math.min(given instanceof Date ? given.getTime() : given, latest));
  const timer = setTimeout(
    () => controller.abort(new AppError('timeout', 'The deadline has passed.')),
    Math.max(0, deadline.getTime() - Date.now()),
  );
  unary.on('cancelled', () => controller.abort(new AppError('cancelled', 'The caller went away.')));
  return { signal: controller.signal, deadline, close: () => clearTimeout(timer) };
}
