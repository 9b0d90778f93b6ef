// What the token check and tenancy cost a request: their own time as a share of a GET's p50 through the gateway.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callContext, createAuthenticator, readGatewayConfig, startGateway } from '@biz/gateway';
import { type TlsFolder, tlsFolder } from '@biz/pki';
import { loadContract, type MethodModel } from '@biz/protos';
import { assertMay, createRpcServer } from '@biz/rpc';
import { createLog } from '@biz/service';
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Agent, request } from 'undici';
import { percentile, type Report } from './report.ts';

const service = 'biz.cost_center.v1.CostCenterService';
const id = '01890000-0000-7000-8000-000000000000';
const audience = 'biz-api';
const warmUp = 500;
const requests = 3_000;
const checks = 20_000;
const fresh = 1_000;

const contract = loadContract();
const log = createLog('bench', 'silent');

/**
 * Needs no engine: a gateway, and a service that answers from memory, so that the share is the largest that it can be. "With" is a token
 * seen before, as all but the first in a minute are, and one never seen, whose signature is verified.
 */
export async function benchAccess(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const issuer = await someIssuer();
    const method = contract.service(service).methods.find(({ name }) => name === 'GetCostCenter') as MethodModel;
    const { known, first } = await stepsOf(issuer, method);
    const p50 = percentile(await latencies(await tlsFolder(folder, ['gateway', 'cost-center']), issuer), 0.5) * 1_000;
    const share = (micros: number) => `${Math.round((micros / p50) * 1_000) / 10} % of the p50 of a GET, ${Math.round(p50)} us`;
    report.add('token check and tenancy, token known', known, 'us', { spread: share(known) });
    report.add('token check and tenancy, token never seen', first, 'us', { spread: share(first) });
    await issuer.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Issuer = Awaited<ReturnType<typeof someIssuer>>;

/** Tokens as Keycloak makes them (RS256, 2,048 bits), and their key set over HTTP. */
async function someIssuer() {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const set = { keys: [{ ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256', use: 'sig' }] };
  const server = createServer((_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(set)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/realms/bench`;
  const claims = { typ: 'Bearer', realm_access: { roles: ['manager'] }, companies: ['company-a'] };
  const token = (jti: string) =>
    new SignJWT({ ...claims, jti })
      .setProtectedHeader({ alg: 'RS256', kid: 'bench' })
      .setIssuer(url)
      .setAudience(audience)
      .setSubject('u-1')
      .setExpirationTime('1h')
      .sign(privateKey);
  return { url, set, token, close: () => new Promise((resolve) => server.close(resolve)) };
}

/** Microseconds that identification, call context, roles and company take together, at the median of many. */
async function stepsOf(issuer: Issuer, method: MethodModel): Promise<{ known: number; first: number }> {
  const keys = { find: createLocalJWKSet(issuer.set), freshForMs: () => 600_000 };
  const authenticate = createAuthenticator({
    keys: { ...keys, ready: async () => true },
    issuer: issuer.url,
    audience,
    algorithms: ['RS256'],
    clockToleranceSeconds: 5,
  });
  const asked = {
    headers: {},
    ip: '203.0.113.9',
    id: 'r-1',
    socket: {},
    trace: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' },
  } as unknown as Parameters<typeof callContext>[0];
  const step = async (authorization: string) => assertMay(method, callContext(asked, await authenticate(authorization), method));
  const medianOf = async (tokens: readonly string[]) => {
    const samples: number[] = [];
    for (const token of tokens) {
      const started = performance.now();
      await step(`Bearer ${token}`);
      samples.push((performance.now() - started) * 1_000);
    }
    return percentile(samples, 0.5);
  };
  const unseen = await Promise.all(Array.from({ length: fresh }, (_, index) => issuer.token(String(index))));
  const first = await medianOf(unseen);
  const known = await medianOf(Array.from({ length: checks }, () => unseen[0] as string));
  return { known, first };
}

/** Milliseconds of each GET, one at a time on one connection. */
async function latencies(tls: TlsFolder, issuer: Issuer): Promise<number[]> {
  await using server = await createRpcServer({
    contract,
    services: [service],
    handlers: Object.fromEntries(
      contract.service(service).methods.map(({ name }) => [name, async () => ({ id, version: 1, name: 'Loja' })]),
    ),
    listen: '127.0.0.1:0',
    tls: tls.tls('cost-center'),
    log,
  });
  const { caFile, certFile, keyFile } = tls.tls('gateway');
  const config = readGatewayConfig({
    GATEWAY_PORT: '0',
    TLS_CA_FILE: caFile,
    TLS_CERT_FILE: certFile,
    TLS_KEY_FILE: keyFile,
    OIDC_ISSUER: issuer.url,
    OIDC_JWKS_URL: issuer.url,
    SERVICE_ADDRESSES: `cost-center=${server.address}`,
    RATE_LIMIT_SUBJECT: '1000000',
    RATE_LIMIT_ADDRESS: '1000000',
    RATE_LIMIT_COMPANY: '1000000',
    PRESSURE_EVENT_LOOP_DELAY_MS: '0',
  });
  await using gateway = await startGateway(config, log);
  const dispatcher = new Agent({ connect: { ca: readFileSync(caFile) }, connections: 1, pipelining: 1 });
  const headers = { authorization: `Bearer ${await issuer.token('bench')}` };
  const url = `https://localhost:${gateway.address.split(':')[1]}/v1/cost-centers/${id}`;
  const samples: number[] = [];
  for (let index = 0; index < warmUp + requests; index += 1) {
    const started = performance.now();
    const answer = await request(url, { dispatcher, headers });
    await answer.body.dump();
    if (answer.statusCode !== 200) throw new Error(`The gateway answered ${answer.statusCode}.`);
    if (index >= warmUp) samples.push(performance.now() - started);
  }
  await dispatcher.close();
  return samples;
}
