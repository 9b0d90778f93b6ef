import { personGrants, type VerifyToken } from '@biz/keycloak';
import { jwtVerify } from 'jose';
import type { Authenticate } from '../auth.ts';
import { tokenError } from '../auth.ts';
import type { GatewayConfig } from '../config.ts';
import type { KeySource } from '../keys.ts';
import { maxSessionLength } from './cookies.ts';
import { createLogin } from './login.ts';
import type { SessionParts } from './routes.ts';
import { createSealer } from './seal.ts';
import { createSessions } from './sessions.ts';

/** What logins of people need; undefined when the settings have no session key, so that only bearer tokens are taken. */
export function sessionParts(config: GatewayConfig, keys: KeySource, authenticate: Authenticate): SessionParts | undefined {
  const { SESSION_KEY, OIDC_CLIENT_SECRET, PUBLIC_URL } = config;
  if (!SESSION_KEY || !OIDC_CLIENT_SECRET || !PUBLIC_URL) return undefined;
  const realmUrl = (config.OIDC_BACKCHANNEL_URL ?? config.OIDC_ISSUER).replace(/\/$/, '');
  const client = { clientId: config.OIDC_CLIENT_ID, clientSecret: OIDC_CLIENT_SECRET, timeoutMs: config.OIDC_TOKEN_TIMEOUT_MS, realmUrl };
  const { origin } = new URL(PUBLIC_URL);
  const sealer = createSealer(SESSION_KEY);
  const sessions = createSessions({
    sealer,
    grants: personGrants({ ...client, verify: verifier(config, keys, authenticate) }),
    idleSeconds: config.SESSION_IDLE_SECONDS,
    absoluteSeconds: config.SESSION_ABSOLUTE_SECONDS,
    refreshAheadSeconds: config.SESSION_REFRESH_AHEAD_SECONDS,
    maxLength: maxSessionLength,
  });
  const login = createLogin({
    ...client,
    issuer: config.OIDC_ISSUER,
    algorithms: config.OIDC_ALGORITHMS,
    redirectUri: `${origin}/v1/auth/callback`,
  });
  return { sessions, origin, sealer, login, loginSeconds: config.LOGIN_SECONDS };
}

/** Access tokens of a session pass what bearer tokens pass; ID tokens are for this client, by the same keys and algorithms. */
function verifier(config: GatewayConfig, keys: KeySource, authenticate: Authenticate): VerifyToken {
  return async (token, type) => {
    if (type === 'Bearer') return authenticate(`Bearer ${token}`);
    const rules = {
      algorithms: [...config.OIDC_ALGORITHMS],
      issuer: config.OIDC_ISSUER,
      audience: config.OIDC_CLIENT_ID,
      clockTolerance: config.OIDC_CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ['exp', 'sub'],
    };
    return jwtVerify(token, keys.find, rules).catch((error: unknown) => {
      throw tokenError(error);
    });
  };
}
