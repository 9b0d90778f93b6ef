import type { Contract, FieldModel, MessageModel, MethodModel } from '@biz/protos';
import { type Call, createRpcServer, type Handler, type RpcServer, type StreamHandler } from '@biz/rpc';
import type { TestTls } from '@biz/testing';

/** What a service in a test got. */
export type Received = { readonly method: string; readonly request: Record<string, unknown>; readonly call: Call };

export type TestServices = AsyncDisposable & {
  /** For SERVICE_ADDRESSES. */
  readonly addresses: Record<string, string>;
  readonly received: Received[];
  /** Takes over a method, by its name. */
  readonly handlers: Map<string, Handler | StreamHandler>;
  readonly servers: Record<string, RpcServer>;
};

const silent = { error: () => {}, info: () => {}, debug: () => {} };
export const someId = '01890000-0000-7000-8000-000000000000';

/** Every service of the contract on real gRPC with mutual TLS, answering each method with something of the right form. */
export async function testServices(contract: Contract, tls: TestTls, processes: readonly string[]): Promise<TestServices> {
  const received: Received[] = [];
  const handlers: TestServices['handlers'] = new Map();
  const servers: Record<string, RpcServer> = {};
  for (const process of processes) {
    const services = contract.services.filter((service) => service.process === process);
    const methods = services.flatMap((service) => service.methods);
    servers[process] = await createRpcServer({
      contract,
      services: services.map((service) => service.fullName),
      handlers: Object.fromEntries(methods.map((method) => [method.name, handlerOf(method, received, handlers)])),
      listen: '127.0.0.1:0',
      tls: tls.tls(process),
      allowedPeers: ['gateway'],
      log: silent,
    });
  }
  return {
    addresses: Object.fromEntries(Object.entries(servers).map(([process, server]) => [process, server.address])),
    received,
    handlers,
    servers,
    async [Symbol.asyncDispose]() {
      await Promise.all(Object.values(servers).map((server) => server[Symbol.asyncDispose]()));
    },
  };
}

function handlerOf(method: MethodModel, received: Received[], handlers: TestServices['handlers']): Handler | StreamHandler {
  if (method.responseStream) {
    return async function* (request, call) {
      received.push({ method: method.name, request, call });
      const own = handlers.get(method.name) as StreamHandler | undefined;
      if (own) yield* own(request, call);
      else yield example(method.response, request as Record<string, unknown>);
    };
  }
  return async (request, call) => {
    received.push({ method: method.name, request, call });
    const own = handlers.get(method.name) as Handler | undefined;
    return own ? own(request, call) : example(method.response, request as Record<string, unknown>);
  };
}

function example(message: MessageModel, request: Record<string, unknown>): object {
  return Object.fromEntries(
    message.fields.flatMap((field) => (field.repeated || field.map ? [] : [[field.name, exampleValue(field, request)]])),
  );
}

function exampleValue(field: FieldModel, request: Record<string, unknown>): unknown {
  const given = request[field.name];
  if (given !== undefined && typeof given !== 'object') return given;
  if (field.name === 'id') return someId;
  if (field.message) return undefined;
  if (field.rules.json) return '{"exact":12345678901234567890}';
  if (field.type === 'string') return field.name === 'status' ? 'active' : '';
  return field.type === 'bool' ? false : field.type === 'bytes' ? Buffer.alloc(0) : 1;
}
