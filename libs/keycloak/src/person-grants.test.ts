import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '@biz/errors';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type PersonGrants, personGrants } from './index.ts';

// What Keycloak really answers is tested in the gateway's session.int.test.ts; this is what a broken one may answer.
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let server: Server;
let grants: PersonGrants;
/** For when there is no answer: an answer may take its time on a busy machine. */
let impatient: PersonGrants;
const verify = vi.fn(async (_token: string, _type: string) => {});

beforeAll(async () => {
  server = createServer((request, response) => answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const realmUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/realms/biz`;
  const of = (timeoutMs: number) => personGrants({ realmUrl, clientId: 'biz-gateway', clientSecret: 's3cret', timeoutMs, verify });
  grants = of(60_000);
  impatient = of(300);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  verify.mockReset();
});

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (claims: object) => `${encoded({ alg: 'RS256' })}.${encoded(claims)}.c2ln`;
const tokens = { access_token: jwt({ iat: 100, exp: 400 }), refresh_token: jwt({ exp: 1900 }), id_token: jwt({}), token_type: 'Bearer' };
const send = (status: number, text: string) => (_: IncomingMessage, response: ServerResponse) => void response.writeHead(status).end(text);

describe('a refresh', () => {
  it('gives the new tokens, each of them verified, even where the clocks differ by years', async () => {
    answer = send(200, JSON.stringify(tokens));
    expect(await grants.refresh('old')).toEqual({
      accessToken: tokens.access_token,
      accessIssuedAt: 100,
      accessExpiresAt: 400,
      refreshToken: tokens.refresh_token,
      refreshExpiresAt: 1900,
    });
    expect(verify.mock.calls).toEqual([
      [tokens.access_token, 'Bearer'],
      [tokens.id_token, 'ID'],
    ]);
  });

  it('rejects with what the verification says', async () => {
    answer = send(200, JSON.stringify(tokens));
    verify.mockRejectedValue(new AppError('token_invalid', 'Not ours.'));
    await expect(grants.refresh('old')).rejects.toMatchObject({ code: 'token_invalid' });
  });

  it('that Keycloak refuses is the end of the session', async () => {
    answer = send(400, '{"error":"invalid_grant"}');
    await expect(grants.refresh('old')).rejects.toMatchObject({ code: 'token_expired' });
  });

  it.each([
    ['a page', send(200, '<html>Starting</html>')],
    ['no tokens', send(200, '{}')],
    ['an error', send(500, 'x')],
    ['that this client is not known', send(401, '{"error":"invalid_client"}')],
    ['nothing', undefined],
  ])('answered with %s is Keycloak being away, and no fault of the session', async (_, behaviour) => {
    answer = behaviour ?? (() => {});
    const error = await (behaviour ? grants : impatient).refresh('a-secret-token').catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'unavailable' });
    expect(JSON.stringify([error, (error as Error).stack, String((error as Error).cause)])).not.toMatch(/a-secret-token|s3cret/);
  });
});

describe('a logout', () => {
  it.each([204, 400])('is done when Keycloak answers %i', async (status) => {
    answer = send(status, '');
    await expect(grants.logout('token')).resolves.toBeUndefined();
  });

  it.each([
    ['an error', send(503, '')],
    ['nothing', undefined],
  ])('answered with %s is told', async (_, behaviour) => {
    answer = behaviour ?? (() => {});
    await expect((behaviour ? grants : impatient).logout('token')).rejects.toMatchObject({ code: 'unavailable' });
  });
});
