import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';

export type Config = ReturnType<typeof readServiceConfig>;

/** The environment of this service, read once. Throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig({ ...serviceShape, MONGODB_DATABASE: z.string().min(1).default('cost_center') }, env);
}
