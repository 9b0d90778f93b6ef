import { AppError } from '@biz/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  clearLoginCookie,
  clearSessionCookie,
  readLoginCookie,
  readSessionCookie,
  writeLoginCookie,
  writeSessionCookie,
} from './cookies.ts';
import type { SessionGate } from './identify.ts';
import { type Login, type LoginChecks, startAgain } from './login.ts';
import { describeCallback, describeLogin, describeLogout } from './openapi.ts';
import { localPath } from './return-to.ts';
import { assertSameOrigin } from './same-origin.ts';
import type { Sealer } from './seal.ts';

export type SessionParts = SessionGate & {
  readonly login: Login;
  readonly sealer: Sealer;
  /** How long a person may take to log in, in seconds. */
  readonly loginSeconds: number;
};

type Waiting = { readonly checks: LoginChecks; readonly returnTo: string };

export const sessionPaths = ['/v1/auth/login', '/v1/auth/callback', '/v1/auth/logout'];

/** Login, callback and logout. What a login waits for stays with the browser that began it, which is what makes its `state` worth something. */
export function addSessionRoutes(app: FastifyInstance, parts: SessionParts): void {
  // a HEAD would begin a login, or use up a code
  app.get('/v1/auth/login', { schema: describeLogin, exposeHeadRoute: false }, (request, reply) => begin(request, reply, parts));
  app.get('/v1/auth/callback', { schema: describeCallback, exposeHeadRoute: false }, (request, reply) => finish(request, reply, parts));
  app.post('/v1/auth/logout', { schema: describeLogout, onRequest: async (request) => assertOurs(request, parts) }, (request, reply) =>
    logout(request, reply, parts),
  );
}

async function begin(request: FastifyRequest, reply: FastifyReply, { login, sealer, loginSeconds }: SessionParts): Promise<FastifyReply> {
  const returnTo = localPath((request.query as { return_to?: unknown }).return_to);
  const { url, checks } = await login.begin();
  const text = await sealer.seal('login', { checks, returnTo }, Math.floor(Date.now() / 1000) + loginSeconds);
  writeLoginCookie(request, reply, { state: checks.state, text, seconds: loginSeconds });
  return reply.redirect(url, 302);
}

async function finish(request: FastifyRequest, reply: FastifyReply, { login, sealer, sessions }: SessionParts): Promise<FastifyReply> {
  const { state } = request.query as { state?: unknown };
  const waiting = typeof state === 'string' ? await waitingLogin(request, state, sealer) : undefined;
  if (!waiting) throw new AppError('login_failed', `This browser began no such login, or too long ago. ${startAgain}`);
  try {
    const sealed = await sessions.open(await login.finish(queryOf(request), waiting.checks));
    const former = readSessionCookie(request);
    if (former !== undefined) await sessions.replace(former);
    writeSessionCookie(request, reply, sealed);
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'unavailable')) clearLoginCookie(reply, waiting.checks.state);
    throw error;
  }
  clearLoginCookie(reply, waiting.checks.state);
  return reply.redirect(waiting.returnTo, 303);
}

/** Found by the beginning of its state; that the whole of it is the same is one of the checks of the exchange. */
async function waitingLogin(request: FastifyRequest, state: string, sealer: Sealer): Promise<Waiting | undefined> {
  const text = readLoginCookie(request, state);
  return text === undefined ? undefined : ((await sealer.open('login', text).catch(() => undefined)) as Waiting | undefined);
}

function queryOf({ url }: FastifyRequest): string {
  return url.slice(url.indexOf('?'));
}

/** The browser forgets its session also when Keycloak cannot be told: a person who leaves must not stay logged in here. */
async function logout(request: FastifyRequest, reply: FastifyReply, { sessions }: SessionParts): Promise<FastifyReply> {
  const sealed = readSessionCookie(request);
  clearSessionCookie(request, reply);
  if (sealed !== undefined) await sessions.close(sealed);
  return reply.code(204).send();
}

function assertOurs(request: FastifyRequest, { origin }: SessionParts): void {
  if (readSessionCookie(request) !== undefined) assertSameOrigin(request, origin);
}
