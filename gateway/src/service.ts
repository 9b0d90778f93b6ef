import type { AddressInfo } from 'node:net';
import { loadContract } from '@biz/protos';
import type { Retry } from '@biz/rpc';
import type { Log, RunningService } from '@biz/service';
import type { FastifyInstance } from 'fastify';
import { createAuthenticator } from './auth.ts';
import type { GatewayConfig } from './config.ts';
import { remoteKeys } from './keys.ts';
import { createReadiness } from './readiness.ts';
import { logRefusals, type OnRefusal } from './refusals.ts';
import { securityEvents } from './security/index.ts';
import { createServer } from './server.ts';
import { sessionParts } from './session/index.ts';
import { createUpstream } from './upstream.ts';

/** Requests at work get this long to end when the gateway stops, in milliseconds; then their connections are cut. */
const drainMs = 8_000;
/** While stopping, connections that became idle are looked for this often, in milliseconds: the server itself closes only those idle at first. */
const sweepMs = 50;

/** Starts the gateway: everything is built here, by hand, and closed in reverse. Throws when a setting or the contract is at fault. */
export async function startGateway(
  config: GatewayConfig,
  log: Log,
  over: { readonly onRefusal?: OnRefusal } = {},
): Promise<RunningService> {
  await using stack = new AsyncDisposableStack();
  const contract = loadContract({ dirs: config.PROTO_DIRS });
  const { TLS_CA_FILE: caFile, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, TLS_RELOAD_SECONDS } = config;
  const tls = { caFile, certFile, keyFile, reloadMs: TLS_RELOAD_SECONDS * 1_000 };
  const keys = remoteKeys({
    url: config.OIDC_JWKS_URL,
    cooldownMs: config.OIDC_JWKS_COOLDOWN_MS,
    maxAgeMs: config.OIDC_JWKS_MAX_AGE_MS,
    timeoutMs: config.OIDC_JWKS_TIMEOUT_MS,
  });
  const authenticate = createAuthenticator({
    keys,
    issuer: config.OIDC_ISSUER,
    audience: config.OIDC_AUDIENCE,
    algorithms: config.OIDC_ALGORITHMS,
    clockToleranceSeconds: config.OIDC_CLOCK_TOLERANCE_SECONDS,
  });
  const session = sessionParts(config, keys, authenticate);
  const noteRetry = ({ rpc, loss, attempt }: Retry) => {
    // one that waits for anybody to be there is said once
    if (loss !== 'unreachable' || attempt === 1) log.info({ rpc, reason: loss, attempts: attempt }, 'a call is made again');
  };
  const upstream = stack.use(createUpstream(contract, config.SERVICE_ADDRESSES, tls, noteRetry));
  const readiness = stack.use(createReadiness(config.SERVICE_ADDRESSES, tls, { 'identity-provider': keys.ready }));
  const onRefusal = over.onRefusal ?? logRefusals(log);
  const parts = { config, log, contract, authenticate, session, upstream, readiness, onRefusal };
  const app = await createServer({ ...parts, securityEvents: stack.use(securityEvents(config, { contract, upstream, log })) });
  stack.defer(() => drain(app));
  await app.listen({ host: config.GATEWAY_HOST, port: config.GATEWAY_PORT });
  const { port } = app.server.address() as AddressInfo;
  const owned = stack.move();
  return { address: `${config.GATEWAY_HOST}:${port}`, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Takes no new connection, lets requests at work end, and closes each connection once it has none. */
async function drain(app: FastifyInstance): Promise<void> {
  const sweep = setInterval(() => app.server.closeIdleConnections(), sweepMs);
  const cut = setTimeout(() => app.server.closeAllConnections(), drainMs);
  await app.close();
  clearInterval(sweep);
  clearTimeout(cut);
}
