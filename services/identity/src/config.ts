import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';

export type Config = ReturnType<typeof readServiceConfig>;

/** The environment of this service, read once. Throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig(
    {
      ...serviceShape,
      MONGODB_DATABASE: z.string().min(1).default('identity'),
      KEYCLOAK_URL: z.url().transform((url) => url.replace(/\/+$/, '')),
      KEYCLOAK_REALM: z.string().min(1).default('biz'),
      KEYCLOAK_CLIENT_ID: z.string().min(1).default('identity-service'),
      KEYCLOAK_CLIENT_SECRET: z.string().min(1),
    },
    env,
  );
}
