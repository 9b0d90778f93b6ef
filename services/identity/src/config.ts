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
};

/** The environment of this service, read once. Throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig({ ...serviceShape, ...ownShape }, env);
}
