import { isIP } from 'node:net';
import { baseShape, readConfig } from '@biz/service';
import { z } from 'zod';
import { limitsShape } from './limits/settings.ts';

const list = (separator: string) =>
  z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(separator)
        .map((part) => part.trim())
        .filter(Boolean),
    );

/** Session keys: 32 bytes each, base64, with commas or white space between; the first seals, all open. */
const keys = z
  .string()
  .transform((text) => text.split(/[\s,]+/).filter(Boolean))
  .transform((parts) => parts.map((part) => Buffer.from(part, 'base64')))
  .refine((list) => list.length > 0 && list.every((key) => key.length === 32), 'must be keys of 32 bytes in base64');

const whole = (fallback: number, least = 1) => z.coerce.number().int().min(least).max(2_147_483_647).default(fallback);

/** Signature algorithms a token may have: asymmetric ones only, so that a public key can never be taken for a shared secret. */
const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const;

const shape = {
  ...baseShape,
  GATEWAY_HOST: z.string().min(1).default('127.0.0.1'),
  /** 0 takes a free one. */
  GATEWAY_PORT: z.coerce.number().int().min(0).max(65_535).default(8443),
  /** Certificate and key shown to clients, when they are not the ones of the fleet (a public authority's). */
  GATEWAY_CERT_FILE: z.string().optional(),
  GATEWAY_KEY_FILE: z.string().optional(),
  /** Where clients find the gateway; named in the API document. */
  PUBLIC_URL: z.url().optional(),
  OIDC_ISSUER: z.url(),
  OIDC_AUDIENCE: z.string().min(1).default('biz-api'),
  OIDC_JWKS_URL: z.url(),
  OIDC_ALGORITHMS: z
    .string()
    .default('RS256')
    .transform((text) => text.split(',').map((name) => name.trim()))
    .pipe(z.array(z.enum(algorithms)).min(1)),
  /** Shortest time between two fetches of the key set that unknown key ids may cause. */
  OIDC_JWKS_COOLDOWN_MS: whole(10_000),
  /** A key that the key set no longer has is forgotten after this. */
  OIDC_JWKS_MAX_AGE_MS: whole(600_000),
  /** Patience with the key server; below 5 s, so that a hung one costs a caller no more. */
  OIDC_JWKS_TIMEOUT_MS: z.coerce.number().int().min(1).max(5_000).default(3_000),
  /** Difference of clocks that is forgiven in `exp` and `nbf`. */
  OIDC_CLOCK_TOLERANCE_SECONDS: whole(5, 0),
  /** The client that people log in through. Without its secret and a SESSION_KEY there are no logins, only bearer tokens. */
  OIDC_CLIENT_ID: z.string().min(1).default('biz-gateway'),
  OIDC_CLIENT_SECRET: z.string().min(1).optional(),
  /** The realm as the gateway reaches it, where that is not the issuer. */
  OIDC_BACKCHANNEL_URL: z.url().optional(),
  /** Patience with the token endpoint, in a login, a refresh and a logout. */
  OIDC_TOKEN_TIMEOUT_MS: z.coerce.number().int().min(1).max(10_000).default(5_000),
  SESSION_KEY: keys.optional(),
  /** A session that is not used for so long has ended. */
  SESSION_IDLE_SECONDS: whole(1_800, 10),
  /** A session ends after this, however much it is used. */
  SESSION_ABSOLUTE_SECONDS: whole(36_000, 10),
  /** An access token is renewed so long before it ends; at most half of its life. */
  SESSION_REFRESH_AHEAD_SECONDS: whole(60, 0),
  /** How long a person may take to log in. */
  LOGIN_SECONDS: whole(600, 10),
  /** Addresses or networks (CIDR, or loopback, linklocal, uniquelocal) whose `X-Forwarded-For` is believed, with commas between. */
  TRUSTED_PROXIES: list(',').pipe(z.array(z.string().refine(isNetwork, 'is no address or network'))),
  /** Folders with further `.proto` files, with colons between. */
  PROTO_DIRS: list(':'),
  /** Largest request body, in bytes. */
  BODY_LIMIT: whole(256 * 1024),
  /** Longest time for the headers, and for a whole request, to arrive (slow clients: 408). */
  HEADERS_TIMEOUT_MS: whole(10_000),
  REQUEST_TIMEOUT_MS: whole(15_000),
  /** How long an idle connection is kept. */
  KEEP_ALIVE_MS: whole(30_000),
  MAX_CONNECTIONS: whole(20_000),
  /** Security events that wait at most, in memory, while the security service is away; beyond it new ones are dropped and counted. */
  SECURITY_EVENTS_WAITING: whole(10_000),
  /** How long a security event waits for others like it, with which it goes as one. */
  SECURITY_EVENTS_FOLD_MS: whole(1_000, 0),
  /** How long a client may take nothing of an answer before it is cut off. */
  STREAM_STALL_MS: whole(60_000),
  ...limitsShape,
};

function isNetwork(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address = '', bits] = text.split('/');
  const family = isIP(address);
  return family !== 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)));
}

export type GatewayConfig = ReturnType<typeof readGatewayConfig>;

/** The gateway's settings; throws one Error that names every fault. */
export function readGatewayConfig(env: NodeJS.ProcessEnv = process.env) {
  const config = readConfig(shape, env);
  const { SESSION_KEY, OIDC_CLIENT_SECRET, PUBLIC_URL } = config;
  if ((SESSION_KEY || OIDC_CLIENT_SECRET) && !(SESSION_KEY && OIDC_CLIENT_SECRET && PUBLIC_URL)) {
    throw new Error('Logins need SESSION_KEY, OIDC_CLIENT_SECRET and PUBLIC_URL together.');
  }
  return config;
}

/** Names of all settings: `withSecrets` reads those that stand in the secret manager, and a test sees that the README lists exactly them. */
export const settingNames: readonly string[] = Object.keys(shape);
