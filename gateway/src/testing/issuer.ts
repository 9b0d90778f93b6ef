import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

/** How the key server behaves: answers its keys, a page, an error, or nothing at all. */
export type Behaviour = 'keys' | 'html' | 'error' | 'hang';

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

/** An identity provider for tests: a key set over HTTP, and tokens as Keycloak makes them. */
export type TestIssuer = AsyncDisposable & {
  readonly issuer: string;
  readonly jwksUrl: string;
  /** Requests that the key server got. */
  fetches(): number;
  behave(behaviour: Behaviour): void;
  /** Makes a new signing key; the old one stays in the set unless `forget`. */
  rotate(forget?: boolean): Promise<void>;
  publicKeyPem(): Promise<Uint8Array>;
  /** A signed token; `claims` and `header` override what a good access token has, undefined removes. */
  token(claims?: JWTPayload, header?: Record<string, unknown>): Promise<string>;
  stop(): Promise<void>;
};

export async function testIssuer(): Promise<TestIssuer> {
  const state = { behaviour: 'keys' as Behaviour, fetches: 0, serial: 1, keys: new Map<string, Keys>() };
  const held = new Set<ServerResponse>();
  state.keys.set('key-1', await generateKeyPair('RS256', { extractable: true }));
  const server = createServer(async (_request, response) => {
    state.fetches += 1;
    if (state.behaviour === 'hang') return void held.add(response);
    if (state.behaviour === 'error') return void response.writeHead(500).end();
    if (state.behaviour === 'html') return void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Starting</html>');
    const keys = await Promise.all(
      [...state.keys].map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' })),
    );
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/realms/biz`;
  const kid = () => `key-${state.serial}`;
  const stop = async () => {
    for (const response of held) response.destroy();
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return {
    issuer,
    jwksUrl: `${issuer}/protocol/openid-connect/certs`,
    fetches: () => state.fetches,
    behave: (behaviour) => {
      state.behaviour = behaviour;
    },
    rotate: async (forget = false) => {
      if (forget) state.keys.clear();
      state.serial += 1;
      state.keys.set(kid(), await generateKeyPair('RS256', { extractable: true }));
    },
    publicKeyPem: async () => new TextEncoder().encode(JSON.stringify(await exportJWK((state.keys.get(kid()) as Keys).publicKey))),
    token: async (claims = {}, header = {}) => {
      const { privateKey } = state.keys.get(kid()) as Keys;
      return new SignJWT(goodClaims(issuer, claims))
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: kid(), ...header })
        .sign(privateKey);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Claims of an access token of company A's admin. */
export function goodClaims(issuer: string, over: JWTPayload = {}): JWTPayload {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    aud: ['biz-api', 'account'],
    sub: '0b6e3a52-0000-4000-8000-000000000001',
    typ: 'Bearer',
    azp: 'biz-cli',
    iat: now,
    exp: now + 300,
    realm_access: { roles: ['admin', 'offline_access'] },
    companies: ['company-a'],
    ...over,
  };
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
}
