import { AppError } from '@biz/errors';
import type { Contract, MethodModel } from '@biz/protos';
import { type CallContext, createRpcClient, type RpcClient, type TlsFiles } from '@biz/rpc';

/** The services behind the gateway. */
export type Upstream = Disposable & {
  /** Calls a method at its service; rejects with AppError, `unavailable` when the process has no address here. */
  call(method: MethodModel, message: object, context: CallContext, signal: AbortSignal): Promise<object>;
};

/** One client a service, for every service whose process has an address. They connect at the first call. */
export function createUpstream(contract: Contract, addresses: Readonly<Record<string, string>>, tls: TlsFiles): Upstream {
  const clients = new Map<string, RpcClient>();
  for (const { fullName, process } of contract.services) {
    const address = addresses[process];
    if (address) clients.set(fullName, createRpcClient({ contract, service: fullName, address, tls }));
  }
  return {
    call: async ({ name, service }, message, context, signal) => {
      const client = clients.get(service.fullName);
      if (!client) throw new AppError('unavailable', `The service ${service.process} is not part of this fleet at present.`);
      return client.call(name, message, context, { signal });
    },
    [Symbol.dispose]: () => {
      for (const client of clients.values()) client[Symbol.dispose]();
    },
  };
}
