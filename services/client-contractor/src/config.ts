import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';

const shape = { ...serviceShape, MONGODB_DATABASE: z.string().min(1).default('client_contractor') };

/** Names of all settings: `withSecrets` reads those that stand in the secret manager. */
export const settingNames: readonly string[] = Object.keys(shape);

export type Config = ReturnType<typeof readServiceConfig>;

/** The only reader of the environment; throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig(shape, env);
}
