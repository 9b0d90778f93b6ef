import { toAppError } from '@biz/errors';
import type { Contract, MethodModel } from '@biz/protos';
import { Client, type ServiceDefinition, type ServiceError } from '@grpc/grpc-js';
import { type CallContext, contextMetadata } from './context.ts';
import { clientOptions, limits } from './limits.ts';
import { fromServiceError } from './status.ts';
import { clientCredentials, type TlsFiles } from './tls.ts';

export type RpcClientOptions = {
  readonly contract: Contract;
  /** Full name of the service. */
  readonly service: string;
  /** `host:port`, or any target that grpc-js resolves (`dns:///name:port`). */
  readonly address: string;
  readonly tls: TlsFiles;
};

export type RpcClient = Disposable & {
  /** Calls a method; resolves to the decoded answer, rejects with AppError. Every call has a deadline. */
  call<Answer extends object>(
    method: string,
    request: object,
    context: CallContext,
    options?: { readonly signal?: AbortSignal; readonly deadline?: Date },
  ): Promise<Answer>;
  /** Resolves when the server can be reached; rejects with AppError `unavailable` after `ms` milliseconds. */
  ready(ms: number): Promise<void>;
};

/** A client for one service of the fleet over mutual TLS. It connects at the first call and again by itself. */
export function createRpcClient(options: RpcClientOptions): RpcClient {
  const model = options.contract.service(options.service);
  const definition = options.contract.packageDefinition[options.service] as ServiceDefinition;
  const client = new Client(options.address, clientCredentials(options.tls, model.process), {
    ...clientOptions,
    'grpc.ssl_target_name_override': model.process,
  });
  const methods = new Map(model.methods.map((method) => [method.name, method]));
  return {
    call: (name, request, context, callOptions = {}) => {
      const method = methods.get(name);
      const wire = definition[name];
      if (!method || !wire) throw new Error(`${options.service} has no method ${name}.`);
      return new Promise((resolve, reject) => {
        const deadline = deadlineOf(method, callOptions.deadline);
        const done = (error: ServiceError | null, answer?: object) => {
          callOptions.signal?.removeEventListener('abort', cancel);
          if (error) reject(fromServiceError(error));
          else resolve(answer as never);
        };
        const call = client.makeUnaryRequest(
          wire.path,
          wire.requestSerialize,
          wire.responseDeserialize as (bytes: Buffer) => object,
          request,
          contextMetadata(context),
          { deadline },
          done,
        );
        const cancel = () => call.cancel();
        if (callOptions.signal?.aborted) cancel();
        callOptions.signal?.addEventListener('abort', cancel, { once: true });
      });
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

/** The earlier of the caller's own deadline and the method's. */
function deadlineOf(method: MethodModel, callers: Date | undefined): Date {
  const own = Date.now() + (method.rules.deadline_ms || limits.deadlineMs);
  return new Date(Math.min(own, callers?.getTime() ?? own));
}
