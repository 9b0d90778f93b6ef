// a package that imports this one compiles its sources, and sees ambient declarations only by this
/// <reference path="./keycloak-connect.d.ts" />
import { AppError } from '@biz/errors';
import GrantManager, { type Grant as KeycloakGrant } from 'keycloak-connect/middleware/auth-utils/grant-manager.js';
import { within } from './within.ts';

/** The answer of the token endpoint (RFC 6749, section 5.1). */
export type TokenAnswer = { readonly access_token: string; readonly refresh_token?: string; readonly id_token?: string };

/** Tokens of a person, as a login or a refresh gave them; times in seconds since 1970. */
export type Grant = {
  readonly accessToken: string;
  readonly accessIssuedAt: number;
  readonly accessExpiresAt: number;
  readonly refreshToken: string;
  /** Undefined when the refresh token does not say. */
  readonly refreshExpiresAt: number | undefined;
};

/** Rejects when a token is not good. An access token has the type `Bearer`, an ID token `ID`. */
export type VerifyToken = (token: string, type: 'Bearer' | 'ID') => Promise<unknown>;

export type PersonGrantsOptions = {
  /** The realm as this process reaches it, such as `https://keycloak:8443/realms/biz`. */
  readonly realmUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Longest wait for an answer, in milliseconds. */
  readonly timeoutMs: number;
  readonly verify: VerifyToken;
};

export type PersonGrants = {
  /** Takes over what a code exchange gave; rejects with what `verify` says of its tokens. */
  adopt(answer: TokenAnswer): Promise<Grant>;
  /** New tokens. Rejects with AppError `token_expired` when Keycloak refuses (the session is over), `unavailable` when it is away. */
  refresh(refreshToken: string): Promise<Grant>;
  /** Ends the person's session in Keycloak; one that is over already is no error. Rejects with AppError `unavailable`. */
  logout(refreshToken: string): Promise<void>;
};

/** Grants of people through keycloak-connect's grant manager. Nothing is thrown that holds the secret or a token. */
export function personGrants(options: PersonGrantsOptions): PersonGrants {
  const manager = new VerifyingGrantManager(options);
  return {
    adopt: async (answer) => grantOf(await manager.createGrant(answer)),
    async refresh(refreshToken) {
      const due = { isExpired: () => true, refresh_token: { token: refreshToken, content: {}, isExpired: () => false } };
      try {
        return grantOf((await within(manager.ensureFreshness(due), options.timeoutMs)) as KeycloakGrant);
      } catch (error) {
        throw error instanceof AppError ? error : refreshError(error);
      }
    },
    logout: (refreshToken) => logout(options, refreshToken),
  };
}

/**
 * The grant manager with another verification of tokens: its own has no pinned algorithm and no audience, and ends the process when the
 * realm's keys are not JSON (keycloak-connect 26.1.1, rotation.js).
 */
class VerifyingGrantManager extends GrantManager {
  readonly #verify: VerifyToken;

  constructor({ realmUrl, clientId, clientSecret, verify }: PersonGrantsOptions) {
    super({ realmUrl, clientId, secret: clientSecret });
    this.#verify = verify;
  }

  /** Async, so that an answer that is not JSON rejects: the base class throws inside a socket's event, which ends the process. */
  override async createGrant(raw: string | object): Promise<KeycloakGrant> {
    return (await super.createGrant(raw)) as KeycloakGrant;
  }

  /** Where the clocks differ a new grant can seem expired, and the base class would refresh it again and again. */
  override isGrantRefreshable(): boolean {
    return false;
  }

  override async validateGrant(grant: KeycloakGrant): Promise<KeycloakGrant> {
    if (!grant.access_token || !grant.refresh_token) throw new Error('the answer holds no tokens');
    await this.#verify(grant.access_token.token, 'Bearer');
    if (grant.id_token) await this.#verify(grant.id_token.token, 'ID');
    return grant;
  }
}

function grantOf({ access_token: access, refresh_token: refresh }: KeycloakGrant): Grant {
  if (!access || !refresh) throw new Error('A grant without tokens passed.');
  const { iat = 0, exp = 0 } = access.content;
  return {
    accessToken: access.token,
    accessIssuedAt: iat,
    accessExpiresAt: exp,
    refreshToken: refresh.token,
    refreshExpiresAt: refresh.content.exp || undefined,
  };
}

/** The grant manager tells of a refusal only its status, as "400:Bad Request". */
function refreshError(error: unknown): AppError {
  const reason = error instanceof Error ? error.message : 'no reason given';
  if (reason.startsWith('400:')) return new AppError('token_expired', 'The session has ended; log in again.');
  return new AppError('unavailable', `Keycloak gave no new token (${reason}).`);
}

/** Keycloak's back-channel logout by refresh token; the grant manager has none. */
async function logout({ realmUrl, clientId, clientSecret, timeoutMs }: PersonGrantsOptions, refreshToken: string): Promise<void> {
  const answer = await fetch(`${realmUrl}/protocol/openid-connect/logout`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken }),
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: Error) => error.message);
  if (answer instanceof Response && (answer.ok || answer.status === 400)) return;
  const reason = answer instanceof Response ? answer.status : answer;
  throw new AppError('unavailable', `Keycloak was not told of the logout (${reason}).`);
}
