import { AppError, toAppError } from '@biz/errors';
import type { Contract, MethodModel } from '@biz/protos';
import { Client, type ClientReadableStream, type MethodDefinition, type ServiceDefinition, type ServiceError } from '@grpc/grpc-js';
import { type CallContext, contextMetadata } from './context.ts';
import { clientOptions, limits } from './limits.ts';
import { fromServiceError } from './status.ts';
import { clientCredentials, type TlsFiles } from './tls.ts';

export type RpcClientOptions = {
  readonly contract: Contract;
  /** Full name of the service. */
  readonly service: string;
  /** The process that is meant, for a service that every process offers; otherwise the package of the service names it. */
  readonly process?: string;
  /** `host:port`, or any target that grpc-js resolves (`dns:///name:port`). */
  readonly address: string;
  readonly tls: TlsFiles;
};

export type RpcCallOptions = { readonly signal?: AbortSignal; readonly deadline?: Date };

export type RpcClient = Disposable & {
  /** Calls a method; resolves to the decoded answer, rejects with AppError. Every call has a deadline. */
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

/** A client for one service of the fleet over mutual TLS. It connects at the first call and again by itself. */
export function createRpcClient(options: RpcClientOptions): RpcClient {
  const model = options.contract.service(options.service);
  const definition = options.contract.packageDefinition[options.service] as ServiceDefinition;
  const process = options.process ?? model.process;
  const client = new Client(options.address, clientCredentials(options.tls, process), {
    ...clientOptions,
    'grpc.ssl_target_name_override': process,
  });
  const methods = new Map(model.methods.map((method) => [method.name, method]));
  const find = (name: string, streamed: boolean): { method: MethodModel; wire: Wire } => {
    const method = methods.get(name);
    const wire = definition[name] as Wire | undefined;
    if (!method || !wire) throw new Error(`${options.service} has no method ${name}.`);
    if (method.responseStream !== streamed) throw new Error(`${method.path} answers with ${streamed ? 'one message' : 'a stream'}.`);
    return { method, wire };
  };
  return {
    call: (name, request, context, callOptions = {}) => {
      const { method, wire } = find(name, false);
      return new Promise((resolve, reject) => {
        const deadline = deadlineOf(method, callOptions.deadline);
        const done = (error: ServiceError | null, answer?: object) => {
          callOptions.signal?.removeEventListener('abort', cancel);
          if (error) reject(fromServiceError(error));
          else resolve(answer as never);
        };
        const { path, requestSerialize, responseDeserialize } = wire;
        const metadata = contextMetadata(context);
        const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, { deadline }, done);
        const cancel = () => call.cancel();
        if (callOptions.signal?.aborted) cancel();
        callOptions.signal?.addEventListener('abort', cancel, { once: true });
      });
    },
    stream: (name, request, context, callOptions = {}) => {
      const { method, wire } = find(name, true);
      const start = () => {
        const deadline = deadlineOf(method, callOptions.deadline);
        const { path, requestSerialize, responseDeserialize } = wire;
        return client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, contextMetadata(context), { deadline });
      };
      return messagesOf(start, callOptions.signal) as AsyncIterable<never>;
    },
    ready: (ms) =>
      new Promise((resolve, reject) => {
        client.waitForReady(Date.now() + ms, (error) =>
          error ? reject(toAppError(Object.assign(error, { code: 'ECONNREFUSED' }))) : resolve(),
        );
      }),
    [Symbol.dispose]: () => client.close(),
  };
}

type Wire = MethodDefinition<object, object>;

async function* messagesOf(start: () => ClientReadableStream<object>, signal: AbortSignal | undefined): AsyncGenerator<object> {
  const call = start();
  const cancel = () => call.cancel();
  call.on('error', () => {}); // one that comes when nobody reads any more, such as that of our own cancelling
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  try {
    for await (const message of call) {
      if (signal?.aborted) throw new AppError('cancelled', 'The call was cancelled.');
      yield message;
    }
  } catch (error) {
    throw error instanceof AppError ? error : fromServiceError(error as ServiceError);
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

/** The earlier of the caller's own deadline and the method's. */
function deadlineOf(method: MethodModel, callers: Date | undefined): Date {
  const own = Date.now() + (method.rules.deadline_ms || limits.deadlineMs);
  return new Date(Math.min(own, callers?.getTime() ?? own));
}
