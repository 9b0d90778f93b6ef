import { addressesIn, clientCredentials, healthOf, type TlsFiles, targetOf } from '@biz/rpc';
import { Client } from '@grpc/grpc-js';

/** Names of what is away, of the parts that the gateway needs; empty when it is ready. */
export type Readiness = Disposable & { away(): Promise<readonly string[]> };

/** Longest wait for one part, in milliseconds. */
const patienceMs = 1_500;
/** An answer is good for this long, in milliseconds: the endpoint is open to everyone and must not multiply its load. */
const freshMs = 1_000;

/** Asks every process's standard health service, and for the keys of the identity provider. Of a service one instance that serves is enough. */
export function createReadiness(
  addresses: Readonly<Record<string, string>>,
  tls: TlsFiles,
  others: Readonly<Record<string, () => Promise<boolean>>>,
): Readiness {
  const clients = Object.entries(addresses).map(([process, address]) => {
    const options = { 'grpc.ssl_target_name_override': process };
    return [process, addressesIn(address).map((one) => new Client(targetOf(one), clientCredentials(tls, process), options))] as const;
  });
  const checks = [...clients.map(([process, instances]) => [process, () => someServes(instances)] as const), ...Object.entries(others)];
  let last: { at: number; answer: Promise<readonly string[]> } | undefined;
  const ask = async () => {
    const answers = await Promise.all(checks.map(async ([name, check]) => ((await check()) ? undefined : name)));
    return answers.filter((name) => name !== undefined);
  };
  return {
    away: () => {
      if (!last || Date.now() > last.at + freshMs) last = { at: Date.now(), answer: ask() };
      return last.answer;
    },
    [Symbol.dispose]: () => {
      for (const client of clients.flatMap(([, instances]) => instances)) client.close();
    },
  };
}

/** As soon as one says yes, so that an instance that hangs costs no time. */
function someServes(instances: readonly Client[]): Promise<boolean> {
  return Promise.any(instances.map(async (client) => (await serves(client)) || Promise.reject(new Error('does not serve')))).catch(
    () => false,
  );
}

function serves(client: Client): Promise<boolean> {
  return healthOf(client, patienceMs).then(
    (status) => status === 'SERVING',
    () => false,
  );
}
