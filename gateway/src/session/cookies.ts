import type { CookieSerializeOptions } from '@fastify/cookie';
import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * `__Host-` (RFC 6265bis, 4.1.3.2): only this host over HTTPS can have set it. Lax, because people come back from Keycloak, and by links, with a
 * navigation that starts at another site; what changes something asks for more (same-origin.ts).
 */
const attributes: CookieSerializeOptions = { path: '/', secure: true, httpOnly: true, sameSite: 'lax' };

export const sessionCookie = '__Host-session';
const loginPrefix = '__Host-login-';

/** Browsers keep 4,096 bytes of name and value (RFC 6265, 6.1); a longer session is cut into several cookies. */
const maxValueLength = 3_900;
/** Together below the server's limit for headers. */
const maxParts = 5;
/** Logins that a browser has begun and not ended: more of them are forgotten. */
const maxOpenLogins = 4;

/** The longest sealed session that can be kept, in characters. */
export const maxSessionLength = maxValueLength * maxParts;

const partName = (index: number) => (index === 0 ? sessionCookie : `${sessionCookie}.${index}`);

/** The sealed session that the browser sends, or undefined. */
export function readSessionCookie({ cookies }: FastifyRequest): string | undefined {
  const parts: string[] = [];
  for (let part = cookies[partName(0)]; part !== undefined && parts.length < maxParts; part = cookies[partName(parts.length)]) {
    parts.push(part);
  }
  return parts.length ? parts.join('') : undefined;
}

/** Gives the browser a session, for as long as it runs: how long the session lasts is sealed inside. Parts of a longer one go. */
export function writeSessionCookie(request: FastifyRequest, reply: FastifyReply, text: string): void {
  const parts = text.match(new RegExp(`.{1,${maxValueLength}}`, 'g')) ?? [];
  for (const [index, part] of parts.entries()) reply.setCookie(partName(index), part, attributes);
  forgetParts(request, reply, parts.length);
}

/** Takes the session from the browser. */
export function clearSessionCookie(request: FastifyRequest, reply: FastifyReply): void {
  forgetParts(request, reply, 0);
}

function forgetParts({ cookies }: FastifyRequest, reply: FastifyReply, from: number): void {
  for (let index = from; index < maxParts; index += 1) {
    if (cookies[partName(index)] !== undefined) reply.clearCookie(partName(index), attributes);
  }
}

/** What a login waits for, by its `state`: each of a browser's logins has a cookie of its own, so that two tabs do not spoil each other's. */
export function readLoginCookie({ cookies }: FastifyRequest, state: string): string | undefined {
  return cookies[loginName(state)];
}

export function writeLoginCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  login: { state: string; text: string; seconds: number },
): void {
  const open = Object.keys(request.cookies).filter((name) => name.startsWith(loginPrefix));
  if (open.length >= maxOpenLogins) for (const name of open) reply.clearCookie(name, attributes);
  reply.setCookie(loginName(login.state), login.text, { ...attributes, maxAge: login.seconds });
}

export function clearLoginCookie(reply: FastifyReply, state: string): void {
  reply.clearCookie(loginName(state), attributes);
}

/** The state is checked against the sealed one; its beginning is enough to tell a browser's logins apart. */
function loginName(state: string): string {
  return loginPrefix + state.replaceAll(/[^A-Za-z0-9_-]/g, '').slice(0, 10);
}
