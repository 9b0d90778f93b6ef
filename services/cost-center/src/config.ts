import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';

const shape = { ...serviceShape, MONGODB_DATABASE: z.string().min(1).default('cost_center') };

/** Names of all settings: `withSecrets` reads those that stand in the secret manager. */
export const settingNames: readonly string[] = Object.keys(shape);

export type Config = ReturnType<typeof readServiceConfig>;

/** The environment of this service, read once. Throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig(shape, env);
}
