import { loadContract } from '@biz/protos';
import { type TestTls, testTls } from '@biz/testing';
import { type TestGateway, testGateway } from './gateway.ts';
import { type TestIssuer, testIssuer } from './issuer.ts';
import { type TestServices, testServices } from './services.ts';

export type TestFleet = AsyncDisposable & {
  readonly tls: TestTls;
  readonly issuer: TestIssuer;
  readonly services: TestServices;
  readonly gateway: TestGateway;
  /** Forgets what was seen and taken over; for `beforeEach`. */
  reset(): void;
};

/** A gateway with its identity provider and in-test services of the named processes, all on real sockets. */
export async function testFleet(options: { processes: string[]; dirs?: string[]; env?: Record<string, string> }): Promise<TestFleet> {
  await using stack = new AsyncDisposableStack();
  const { processes, dirs = [], env = {} } = options;
  const tls = stack.use(await testTls(['gateway', ...processes]));
  const issuer = stack.use(await testIssuer());
  const services = stack.use(await testServices(loadContract({ dirs }), tls, processes));
  const addresses = Object.entries(services.addresses).map((pair) => pair.join('='));
  const settings = { SERVICE_ADDRESSES: addresses.join(','), PROTO_DIRS: dirs.join(':'), ...env };
  const gateway = stack.use(await testGateway(tls, issuer, settings));
  const owned = stack.move();
  return {
    tls,
    issuer,
    services,
    gateway,
    reset: () => {
      services.received.length = 0;
      services.handlers.clear();
      gateway.refusals.length = 0;
      gateway.lines.length = 0;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
