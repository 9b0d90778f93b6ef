import { AppError } from '@biz/errors';
import type { TokenAnswer } from '@biz/keycloak';
import * as oidc from 'openid-client';

export type LoginOptions = {
  readonly issuer: string;
  /** The realm as the gateway reaches it. */
  readonly realmUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly algorithms: readonly string[];
  /** Where Keycloak sends people back to. */
  readonly redirectUri: string;
  readonly timeoutMs: number;
};

/** What the callback is held against; it stays with the browser, sealed. */
export type LoginChecks = { readonly state: string; readonly nonce: string; readonly verifier: string };

export type Login = {
  /** Where to send the browser, and what to hold its return against. */
  begin(): Promise<{ readonly url: string; readonly checks: LoginChecks }>;
  /**
   * Exchanges the code of the callback's query for tokens. Rejects with AppError `login_failed` (refused at Keycloak, of another login, used
   * or too old) or `unavailable`.
   */
  finish(query: string, checks: LoginChecks): Promise<TokenAnswer>;
};

/**
 * Authorization code with PKCE (RFC 7636, S256), `state`, `nonce`, and the issuer in the answer (RFC 9207), by openid-client. Endpoints are
 * those of a Keycloak realm; nothing is asked of it before somebody logs in.
 */
export function createLogin(options: LoginOptions): Login {
  const config = new oidc.Configuration(
    {
      issuer: options.issuer,
      authorization_endpoint: `${options.issuer}/protocol/openid-connect/auth`,
      token_endpoint: `${options.realmUrl}/protocol/openid-connect/token`,
      authorization_response_iss_parameter_supported: true,
      id_token_signing_alg_values_supported: [...options.algorithms],
    },
    options.clientId,
    {},
    oidc.ClientSecretPost(options.clientSecret),
  );
  config.timeout = options.timeoutMs / 1000;
  // the settings decide: on one machine, or behind a mesh that encrypts, Keycloak has no TLS of its own
  if (options.realmUrl.startsWith('http:') || options.issuer.startsWith('http:')) oidc.allowInsecureRequests(config);
  return {
    async begin() {
      const checks = { state: oidc.randomState(), nonce: oidc.randomNonce(), verifier: oidc.randomPKCECodeVerifier() };
      const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: options.redirectUri,
        scope: 'openid',
        state: checks.state,
        nonce: checks.nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(checks.verifier),
        code_challenge_method: 'S256',
      });
      return { url: url.href, checks };
    },
    async finish(query, { state, nonce, verifier }) {
      const url = new URL(options.redirectUri);
      url.search = query;
      try {
        return await oidc.authorizationCodeGrant(config, url, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        });
      } catch (error) {
        throw loginError(error);
      }
    },
  };
}

export const startAgain = 'Start again at /v1/auth/login.';

/** Faults of what the browser brought, by openid-client's codes. */
const ofTheBrowser: ReadonlySet<unknown> = new Set(['OAUTH_INVALID_RESPONSE', 'OAUTH_JWT_CLAIM_COMPARISON_FAILED']);

/** openid-client's errors are not kept as causes: they hold the callback's parameters or the answer's tokens, and a cause may be logged. */
function loginError(error: unknown): AppError {
  if (error instanceof oidc.AuthorizationResponseError) {
    return new AppError('login_failed', `Keycloak did not let you in (${plain(error.error)}). ${startAgain}`);
  }
  if (error instanceof oidc.ResponseBodyError && error.error === 'invalid_grant') {
    return new AppError('login_failed', `The code of this login was used already, or is too old. ${startAgain}`);
  }
  const code = (error as { code?: unknown }).code;
  if (ofTheBrowser.has(code)) return new AppError('login_failed', `This answer does not fit the login that was begun. ${startAgain}`);
  const reason = error instanceof oidc.ResponseBodyError ? error.error : (code ?? 'no answer');
  return new AppError('unavailable', `Keycloak did not complete the login (${plain(String(reason))}); try again in a moment.`);
}

/** An error code of OAuth as it may be shown. */
function plain(code: string): string {
  return /^\w{1,60}$/.test(code) ? code : 'error';
}
