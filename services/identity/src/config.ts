import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';

export type Config = ReturnType<typeof readServiceConfig>;

/** Settings of this service beside those of every service; README.md tells of each. */
export const ownShape = {
  MONGODB_DATABASE: z.string().min(1).default('identity'),
  KEYCLOAK_URL: z.url().transform((url) => url.replace(/\/+$/, '')),
  KEYCLOAK_REALM: z.string().min(1).default('biz'),
  KEYCLOAK_CLIENT_ID: z.string().min(1).default('identity-service'),
  KEYCLOAK_CLIENT_SECRET: z.string().min(1),
  /** How often Keycloak is told of all users anew. */
  KEYCLOAK_RESYNC_HOURS: z.coerce.number().positive().default(24),
  /** How often Keycloak is asked for logins, in milliseconds. */
  KEYCLOAK_EVENTS_POLL_MS: z.coerce.number().int().min(10).default(2_000),
  /** An event may appear in Keycloak so much later than its time says. */
  KEYCLOAK_EVENTS_OVERLAP_SECONDS: z.coerce.number().int().min(0).default(15),
};

/** Names of all settings: `withSecrets` reads those that stand in the secret manager. */
export const settingNames: readonly string[] = Object.keys({ ...serviceShape, ...ownShape });

/** The environment of this service, read once. Throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig({ ...serviceShape, ...ownShape }, env);
}
