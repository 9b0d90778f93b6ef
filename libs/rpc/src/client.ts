import { toAppError } from '@biz/errors';
import type { Contract, MethodModel } from '@biz/protos';
import { Client, type ServiceDefinition } from '@grpc/grpc-js';
import { Calling, type Wire } from './calling.ts';
import type { CallContext } from './context.ts';
import { clientOptions, limits } from './limits.ts';
import { Renewed } from './renewed.ts';
import { createRetries, type Retry } from './retry.ts';
import { targetOf } from './target.ts';
import { clientCredentials, type TlsFiles } from './tls.ts';

export type RpcClientOptions = {
  readonly contract: Contract;
  /** Full name of the service. */
  readonly service: string;
  /** The process that is meant, for a service that every process offers; otherwise the package of the service names it. */
  readonly process?: string;
  /** `host:port`, several of one service with `|` between, or any target that grpc-js resolves (`dns:///name:port`). Calls take turns. */
  readonly address: string;
  readonly tls: TlsFiles;
  /** A connection takes no new calls after this many milliseconds; `limits.connectionAgeMs` when not given. */
  readonly connectionAgeMs?: number;
  /** Told of each call that is made again. */
  readonly onRetry?: (retry: Retry) => void;
};

export type RpcCallOptions = { readonly signal?: AbortSignal; readonly deadline?: Date };

export type RpcClient = Disposable & {
  /**
   * Calls a method; resolves to the decoded answer, rejects with AppError. Every call has a deadline. One that was not begun is made again, and
   * so is one that can be repeated (see isRepeatable) when it was lost in the middle.
   */
  call<Answer extends object>(method: string, request: object, context: CallContext, options?: RpcCallOptions): Promise<Answer>;
  /**
   * Calls a method that answers with a stream, once the first message is asked for. No more messages are taken from the server than are
   * asked for here (but for 16 on either side). Throws AppError in place of a message, also after some; leaving the loop cancels the call,
   * and so does the signal, at once. To be gone through once.
   */
  stream<Answer extends object>(method: string, request: object, context: CallContext, options?: RpcCallOptions): AsyncIterable<Answer>;
  /** Resolves when the server can be reached; rejects with AppError `unavailable` after `ms` milliseconds. */
  ready(ms: number): Promise<void>;
};

/** A client for one service of the fleet over mutual TLS. It connects at the first call and again by itself, to every instance. */
export function createRpcClient(options: RpcClientOptions): RpcClient {
  const model = options.contract.service(options.service);
  const definition = options.contract.packageDefinition[options.service] as ServiceDefinition;
  const process = options.process ?? model.process;
  const credentials = clientCredentials(options.tls, process);
  const channelOptions = { ...clientOptions, 'grpc.ssl_target_name_override': process };
  const make = () => new Client(targetOf(options.address), credentials, channelOptions);
  const clients = new Renewed(make, options.connectionAgeMs ?? limits.connectionAgeMs);
  const calling = new Calling(clients, createRetries(), options.onRetry);
  const methods = new Map(model.methods.map((method) => [method.name, method]));
  const find = (name: string, streamed: boolean): { method: MethodModel; wire: Wire } => {
    const method = methods.get(name);
    const wire = definition[name] as Wire | undefined;
    if (!method || !wire) throw new Error(`${options.service} has no method ${name}.`);
    if (method.responseStream !== streamed) throw new Error(`${method.path} answers with ${streamed ? 'one message' : 'a stream'}.`);
    return { method, wire };
  };
  const asked = (name: string, streamed: boolean, request: object, context: CallContext, { deadline, signal }: RpcCallOptions) => {
    const found = find(name, streamed);
    return { ...found, request, context, deadline: deadlineOf(found.method, deadline), signal };
  };
  return {
    call: (name, request, context, callOptions = {}) => calling.unary(asked(name, false, request, context, callOptions)) as Promise<never>,
    stream: (name, request, context, callOptions = {}) => {
      find(name, true);
      const start = () => calling.stream(asked(name, true, request, context, callOptions));
      return { [Symbol.asyncIterator]: start } as AsyncIterable<never>;
    },
    ready: async (ms) => {
      using lease = clients.lease();
      await new Promise<void>((resolve, reject) => {
        lease.client.waitForReady(Date.now() + ms, (error) =>
          error ? reject(toAppError(Object.assign(error, { code: 'ECONNREFUSED' }))) : resolve(),
        );
      });
    },
    [Symbol.dispose]: () => clients[Symbol.dispose](),
  };
}

/** The earlier of the caller's own deadline and the method's. */
function deadlineOf(method: MethodModel, callers: Date | undefined): Date {
  const own = Date.now() + (method.rules.deadline_ms || limits.deadlineMs);
  return new Date(Math.min(own, callers?.getTime() ?? own));
}
