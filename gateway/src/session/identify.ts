import { AppError } from '@biz/errors';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticate, Principal } from '../auth.ts';
import { clearSessionCookie, readSessionCookie, writeSessionCookie } from './cookies.ts';
import { assertSameOrigin } from './same-origin.ts';
import type { Session, Sessions } from './sessions.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set when the caller is known by a session. */
    session: Session | null;
  }
}

/**
 * Says who calls, and notes it as `request.principal`: by the bearer token when there is an `Authorization` header, else by the session
 * cookie. Rejects with what the authenticator and Sessions.resume say, and AppError `cross_site_request`.
 */
export type Identify = (request: FastifyRequest, reply: FastifyReply) => Promise<Principal>;

export type SessionGate = { readonly sessions: Sessions /** Origin of our own pages. */; readonly origin: string };

/** Without a session gate only bearer tokens are taken. */
export function createIdentify(authenticate: Authenticate, gate: SessionGate | undefined): Identify {
  return async (request, reply) => {
    const { authorization } = request.headers;
    const sealed = gate && authorization === undefined ? readSessionCookie(request) : undefined;
    if (!gate || sealed === undefined) {
      request.principal = await authenticate(authorization);
      return request.principal;
    }
    request.session = await resume(gate.sessions, sealed, request, reply);
    request.principal = await authenticate(`Bearer ${request.session.accessToken}`);
    assertSameOrigin(request, gate.origin);
    return request.principal;
  };
}

/** A session that is over is taken from the browser; one that was renewed is given to it. */
async function resume(sessions: Sessions, sealed: string, request: FastifyRequest, reply: FastifyReply): Promise<Session> {
  try {
    const resumed = await sessions.resume(sealed);
    if (resumed.sealed !== undefined) writeSessionCookie(request, reply, resumed.sealed);
    return resumed.session;
  } catch (error) {
    if (error instanceof AppError && error.code !== 'unavailable') clearSessionCookie(request, reply);
    throw error;
  }
}
