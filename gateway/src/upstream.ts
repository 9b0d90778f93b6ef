import { AppError } from '@biz/errors';
import type { Contract, MethodModel, ServiceModel } from '@biz/protos';
import { type CallContext, createRpcClient, type Retry, type RpcCallOptions, type RpcClient, type TlsFiles } from '@biz/rpc';

/** The services behind the gateway. */
export type Upstream = Disposable & {
  /** Calls a method at its service; rejects with AppError, `unavailable` when the process has no address here. */
  call(method: MethodModel, message: object, context: CallContext, signal: AbortSignal): Promise<object>;
  /** Calls a method that answers with a stream, once it is pulled from; throws AppError, also after some messages. */
  stream(method: MethodModel, message: object, context: CallContext, options: RpcCallOptions): AsyncIterable<object>;
};

/** One client a service, for every service whose process has an address. They connect at the first call, to every instance. */
export function createUpstream(
  contract: Contract,
  addresses: Readonly<Record<string, string>>,
  tls: TlsFiles,
  onRetry: (retry: Retry) => void = () => {},
): Upstream {
  const clients = new Map<string, RpcClient>();
  for (const { fullName, process } of contract.services) {
    const address = addresses[process];
    if (address) clients.set(fullName, createRpcClient({ contract, service: fullName, address, tls, onRetry }));
  }
  const clientOf = ({ fullName, process }: ServiceModel): RpcClient => {
    const client = clients.get(fullName);
    if (!client) throw new AppError('unavailable', `The service ${process} is not part of this fleet at present.`);
    return client;
  };
  return {
    call: async ({ name, service }, message, context, signal) => clientOf(service).call(name, message, context, { signal }),
    stream: ({ name, service }, message, context, options) => clientOf(service).stream(name, message, context, options),
    [Symbol.dispose]: () => {
      for (const client of clients.values()) client[Symbol.dispose]();
    },
  };
}
