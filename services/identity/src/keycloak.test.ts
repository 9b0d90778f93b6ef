import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { createKeycloakAdmin, KeycloakRefusal } from './keycloak.ts';

/** What a Keycloak in trouble answers; what a sound one does is tested against a real one (directory.int.test.ts). */
type Answer = { status: number; body: string; headers?: Record<string, string> } | 'nothing';

const json = (status: number, body: unknown): Answer => ({ status, body: JSON.stringify(body) });
const html: Answer = { status: 200, body: '<html>Down for maintenance</html>' };
const grant = json(200, { access_token: 'secret-token', expires_in: 300 });
const users = { method: 'GET', path: '/users' } as const;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

/** A server that gives these answers in turn, the last one for ever; and what it was asked. */
async function troubled(tokens: Answer[], admin: Answer[]) {
  const asked: string[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    asked.push(`${request.method} ${request.url}`);
    const turns = request.url?.includes('/token') ? tokens : admin;
    const turn = turns.length > 1 ? turns.shift() : turns[0];
    if (turn === undefined || turn === 'nothing') return;
    response.writeHead(turn.status, turn.headers).end(turn.body);
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    asked,
    admin: createKeycloakAdmin({ url, realm: 'biz', clientId: 'identity-service', clientSecret: 'hunter2', timeoutMs: 200 }),
  };
}

it.each([
  ['hangs when asked for a token', ['nothing'], [html]],
  ['answers HTML instead of a token', [html], [html]],
  ['knows our secret no more', [json(401, { error: 'unauthorized_client' })], [html]],
  ['hangs', [grant], ['nothing']],
  ['answers HTML', [grant], [html]],
  ['answers HTML with 400', [grant], [{ status: 400, body: '<html>' } as Answer]],
  ['fails', [grant], [json(503, { error: 'unknown_error' })]],
  ['lacks our rights', [grant], [json(403, { error: 'HTTP 403 Forbidden' })]],
  ['lacks the realm', [grant], [json(404, { error: 'Realm not found.' })]],
  ['sends us elsewhere', [grant], [{ status: 302, body: '', headers: { location: 'http://example.com/' } } as Answer]],
] as [string, Answer[], Answer[]][])('a Keycloak that %s is away, and tells no secret', async (_, tokens, answers) => {
  const { admin } = await troubled(tokens, answers);
  const error = await admin.send(users).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'unavailable' });
  expect(String((error as Error).stack) + String((error as Error).cause)).not.toMatch(/hunter2|secret-token/);
});

it('a token is asked for once, and again when it is no longer taken', async () => {
  const { admin, asked } = await troubled([grant], [json(200, []), json(401, {}), json(200, [])]);
  await Promise.all([admin.send(users), admin.send(users)]);
  expect(asked.filter((line) => line.startsWith('POST'))).toHaveLength(2);
});

it('a refusal has Keycloak’s reason and field, and no value', async () => {
  const fault = { field: 'email', errorMessage: 'error-invalid-email', params: ['email', 'maria@'] };
  const { admin } = await troubled([grant], [json(400, { errors: [fault, fault] })]);
  const refusal = await admin.send({ method: 'POST', path: '/users', body: {} }).catch((thrown: unknown) => thrown);
  expect(refusal).toBeInstanceOf(KeycloakRefusal);
  expect(refusal).toMatchObject({ status: 400, reason: 'email: error-invalid-email; email: error-invalid-email' });
});
