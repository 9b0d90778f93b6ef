import { setTimeout as sleep } from 'node:timers/promises';
import { Server, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { isEndless, type RpcServerOptions } from './call.ts';
import { serverOptions } from './limits.ts';
import { stopping } from './loss.ts';
import { implementation, type Work } from './serving.ts';
import { serverCredentials } from './tls.ts';

export type RpcServer = AsyncDisposable & {
  /** `host:port` that it listens on. */
  readonly address: string;
  /** What the standard health service answers; a server starts as serving. */
  setServing(serving: boolean): void;
};

/** How long calls at work may still take when the server stops, in milliseconds; streams among them. */
const drainMs = 5_000;
/** How long they then have to end by themselves, once they were aborted, in milliseconds. */
const abortedMs = 1_000;

/**
 * Starts a gRPC server over mutual TLS: the call context is read and checked, roles and field rules are those of the proto, errors leave as
 * statuses with details. Throws when a method has no handler or the address is taken.
 */
export async function createRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const server = new Server(serverOptions);
  const work: Work = { calls: new Map(), stopping: false };
  for (const name of options.services) {
    const definition = options.contract.packageDefinition[name] as ServiceDefinition | undefined;
    if (!definition) throw new Error(`The contract has no service ${name}.`);
    const methods = options.contract.service(name).methods.map((method) => [method.name, implementation(method, options, work)]);
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
      await drain(server, work);
    },
  };
}

function bind(server: Server, options: RpcServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(options.listen, serverCredentials(options.tls, options.log), (error, port) => {
      if (error) reject(new Error(`Cannot listen on ${options.listen}: ${error.message}`, { cause: error }));
      else resolve(port);
    });
  });
}

/**
 * Takes no new call and waits for those at work; what is not done in time is aborted and told so (a stream's caller can go on elsewhere), a
 * stream that has no end of its own at once. Handlers have ended when this resolves, so that what they use may be closed, unless they
 * ignore being aborted.
 */
async function drain(server: Server, work: Work): Promise<void> {
  work.stopping = true;
  for (const [scope, method] of work.calls) if (isEndless(method)) scope.abort(stopping);
  const abort = setTimeout(() => {
    for (const scope of work.calls.keys()) scope.abort(stopping);
  }, drainMs);
  const force = setTimeout(() => server.forceShutdown(), drainMs + abortedMs);
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  clearTimeout(abort);
  clearTimeout(force);
  const stop = new AbortController();
  await Promise.race([Promise.all([...work.calls.keys()].map(({ closed }) => closed)), sleep(abortedMs, undefined, stop)]);
  stop.abort();
}
