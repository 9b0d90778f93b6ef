// a package that imports this one compiles its sources, and sees ambient declarations only by this
/// <reference path="./keycloak-connect.d.ts" />
import { AppError } from '@biz/errors';
import GrantManager from 'keycloak-connect/middleware/auth-utils/grant-manager.js';
import { within } from './within.ts';

export type ServiceAccountOptions = {
  readonly url: string;
  readonly realm: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Longest wait for a grant, in milliseconds. */
  readonly timeoutMs: number;
  readonly now?: () => number;
};

/** The access token of this service in a realm: asked for once and used again until shortly before it ends. */
export type ServiceAccount = {
  /** Rejects with AppError `unavailable` when Keycloak gives none, for whatever reason. */
  token(): Promise<string>;
  /** Forgets a token that Keycloak no longer takes. */
  forget(token: string): void;
};

/** A token is not used in its last seconds: it could end on the way. */
const marginMs = 10_000;

/**
 * Signs in as a service through keycloak-connect's grant manager, one sign-in at a time. Nothing is thrown that holds the secret or a token.
 */
export function createServiceAccount(options: ServiceAccountOptions): ServiceAccount {
  const { now = Date.now } = options;
  const grants = new PlainGrantManager({
    realmUrl: `${options.url}/realms/${options.realm}`,
    clientId: options.clientId,
    secret: options.clientSecret,
  });
  let held: Grant | undefined;
  let asking: Promise<Grant> | undefined;
  return {
    async token() {
      if (held && held.until > now()) return held.token;
      asking ??= signIn(grants, options.timeoutMs, now).finally(() => {
        asking = undefined;
      });
      held = await asking;
      return held.token;
    },
    forget(token) {
      if (held?.token === token) held = undefined;
    },
  };
}

async function signIn(grants: PlainGrantManager, timeoutMs: number, now: () => number): Promise<Grant> {
  const asked = now();
  try {
    const { access_token, expires_in } = await within(grants.obtainFromClientCredentials(), timeoutMs);
    return { token: access_token, until: asked + expires_in * 1000 - marginMs };
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'no reason given';
    throw new AppError('unavailable', `Keycloak gave no token to this service (${reason}).`, { cause: error });
  }
}

/**
 * The grant manager without its check of the token it just got: that check needs the realm's keys, and an answer that is not JSON there
 * ends the process (keycloak-connect 26.1.1, rotation.js). A token from the token endpoint is only carried back to the same server.
 */
class PlainGrantManager extends GrantManager {
  override createGrant(raw: string): TokenAnswer {
    const answer: unknown = JSON.parse(raw);
    if (!isTokenAnswer(answer)) throw new Error('the answer holds no token');
    return answer;
  }

  override obtainFromClientCredentials(): Promise<TokenAnswer> {
    return super.obtainFromClientCredentials() as Promise<TokenAnswer>;
  }
}

function isTokenAnswer(value: unknown): value is TokenAnswer {
  const answer = value as Partial<TokenAnswer> | null;
  return typeof answer?.access_token === 'string' && typeof answer.expires_in === 'number';
}

type Grant = { readonly token: string; readonly until: number };
type TokenAnswer = { access_token: string; expires_in: number };
