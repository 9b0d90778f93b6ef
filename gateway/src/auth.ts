import { hash } from 'node:crypto';
import { AppError } from '@biz/errors';
import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify, type ProtectedHeaderParameters } from 'jose';
import { LRUCache } from 'lru-cache';
import type { KeySource } from './keys.ts';

/** Who a verified token speaks for. */
export type Principal = {
  /** Identity's user id when the token has it, else the identity provider's subject. */
  readonly id: string;
  /** The name that the person logs in with; undefined when the token does not say. */
  readonly username: string | undefined;
  /** For security events; undefined when the token does not say. */
  readonly email: string | undefined;
  /** Of the realm: they hold everywhere. */
  readonly roles: readonly string[];
  /** What the person is in one company more, by its id. */
  readonly companyRoles: ReadonlyMap<string, readonly string[]>;
  readonly companies: readonly string[];
  readonly clients: readonly string[];
  /** End of the token, in milliseconds since 1970. */
  readonly expiresAt: number;
};

export type AuthOptions = {
  readonly keys: KeySource;
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly clockToleranceSeconds: number;
};

/** Reads an `Authorization` header; throws AppError `token_missing`, `token_invalid`, `token_expired` or `unavailable`. */
export type Authenticate = (authorization: string | undefined) => Promise<Principal>;

/** A longer token is refused before anything is computed from it, in characters. */
const maxTokenLength = 16 * 1024;
/** A verified token is believed again without a signature check for this long at most, in milliseconds. */
const cacheMs = 60_000;
const cacheSize = 10_000;

/** Roles of the realm that mean something here; others are not passed on. */
const knownRoles = new Set(['admin', 'manager', 'auditor', 'dpo', 'user']);

/**
 * Verification of Keycloak access tokens by jose: pinned algorithms, issuer, audience, `exp` required, `nbf`, and `typ` Bearer, so that
 * an ID or refresh token is not taken for an access token. Verified tokens are remembered by their SHA-256 until they expire, a
 * minute at most, and never longer than the keys they were verified with.
 */
export function createAuthenticator(options: AuthOptions): Authenticate {
  const cache = new LRUCache<string, Principal>({ max: cacheSize });
  const rules: JWTVerifyOptions = {
    algorithms: [...options.algorithms],
    issuer: options.issuer,
    audience: options.audience,
    clockTolerance: options.clockToleranceSeconds,
    requiredClaims: ['exp', 'sub'],
  };
  return async (authorization) => {
    const token = bearerToken(authorization);
    const key = hash('sha256', token, 'base64url');
    const known = cache.get(key);
    if (known) return known;
    const payload = await verify(token, options.keys, rules);
    const principal = principalOf(payload);
    const ttl = Math.min(cacheMs, (payload.exp ?? 0) * 1000 - Date.now(), options.keys.freshForMs());
    if (ttl > 0) cache.set(key, principal, { ttl });
    return principal;
  };
}

function bearerToken(authorization: string | undefined): string {
  const token = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (!token) throw new AppError('token_missing', 'Send a token: "Authorization: Bearer <access token>".');
  if (token.length > maxTokenLength) throw refusal('It is too long.');
  return token;
}

async function verify(token: string, keys: KeySource, rules: JWTVerifyOptions): Promise<JWTPayload> {
  refuseOwnKeys(token);
  try {
    const { payload } = await jwtVerify(token, keys.find, rules);
    if (payload.typ !== 'Bearer') throw refusal('It is not an access token.');
    return payload;
  } catch (error) {
    throw tokenError(error);
  }
}

/** A token that brings or names its own key (RFC 7515, 4.1.2–4.1.6) is refused, not just left unfollowed. */
function refuseOwnKeys(token: string): void {
  let header: ProtectedHeaderParameters;
  try {
    header = decodeProtectedHeader(token);
  } catch {
    throw refusal('It is not a JSON Web Token.');
  }
  const own = ['jku', 'jwk', 'x5u', 'x5c'].find((name) => name in header);
  if (own) throw refusal(`Its header names a key of its own (${own}).`);
}

/** Says what is wrong with a token. jose's error is not kept as the cause: it holds the token's claims, and a cause may be logged. */
export function tokenError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof errors.JWTExpired) return new AppError('token_expired', 'The token has expired; get a new one.');
  if (error instanceof errors.JWTClaimValidationFailed) return refusal(`Its claim "${error.claim}" is missing or not acceptable.`);
  if (error instanceof errors.JOSEAlgNotAllowed) return refusal('Its algorithm is not accepted.');
  if (error instanceof errors.JWKSNoMatchingKey) return refusal('It is signed by an unknown key.');
  return refusal('It is not a token that can be verified.');
}

function refusal(reason: string): AppError {
  return new AppError('token_invalid', `The token is not valid. ${reason}`);
}

function principalOf(payload: JWTPayload): Principal {
  const realm = payload.realm_access as { roles?: unknown } | undefined;
  const companies = texts(payload.companies);
  return {
    id: texts(payload.user_id)[0] ?? String(payload.sub),
    username: texts(payload.preferred_username)[0],
    email: texts(payload.email)[0],
    roles: texts(realm?.roles).filter((role) => knownRoles.has(role)),
    companyRoles: companyRolesOf(payload.company_roles, companies),
    companies,
    clients: texts(payload.clients),
    expiresAt: (payload.exp ?? 0) * 1000,
  };
}

/** The claim `company_roles`, a list of `<company id>:<role>`; what is not of the form, or of another company, says nothing. */
function companyRolesOf(claim: unknown, companies: readonly string[]): Map<string, string[]> {
  const roles = new Map<string, string[]>();
  for (const entry of texts(claim)) {
    const colon = entry.lastIndexOf(':');
    const [company, role] = [entry.slice(0, colon), entry.slice(colon + 1)];
    if (colon > 0 && knownRoles.has(role) && companies.includes(company)) roles.set(company, [...(roles.get(company) ?? []), role]);
  }
  return roles;
}

/** The roles of a caller once a company is chosen: those of the realm, and those of that company. */
export function rolesIn({ roles, companyRoles }: Pick<Principal, 'roles' | 'companyRoles'>, company: string | null): readonly string[] {
  const own = company === null ? undefined : companyRoles.get(company);
  return own ? [...new Set([...roles, ...own])] : roles;
}

/** A claim with one or several values (Keycloak writes both forms) as a list of short texts. */
function texts(claim: unknown): string[] {
  return [claim].flat().filter((value): value is string => typeof value === 'string' && value !== '' && value.length <= 128);
}
