import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';
import { alertShape } from './alerts/config.ts';
import { storageFaults, storageShape } from './storage/config.ts';
import { streamShape } from './stream/config.ts';

export type Config = ReturnType<typeof readServiceConfig>;

const count = (fallback: number) => z.coerce.number().int().positive().default(fallback);

/** Settings of this service beside those of every service; README.md tells of each. */
export const ownShape = {
  MONGODB_DATABASE: z.string().min(1).default('security'),
  CONSUMER_GROUP: z.string().min(1).default('security'),
  /** Messages taken at once, of one partition. */
  BATCH_RECORDS: count(1_000),
  /** Partitions worked on side by side. */
  CONCURRENCY: count(2),
  /** Days that an event which was handed over stays in the outbox after it was published. */
  OUTBOX_KEEP_DAYS: count(7),
  ...storageShape,
  ...alertShape,
  ...streamShape,
};

/** Names of all settings: `withSecrets` reads those that stand in the secret manager. */
export const settingNames: readonly string[] = Object.keys({ ...serviceShape, ...ownShape });

/** The environment of this service, read once. Throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  const config = readConfig({ ...serviceShape, ...ownShape }, env);
  const faults = storageFaults(config);
  if (faults.length > 0) throw new Error(`The configuration (environment variables) has faults:\n  ${faults.join('\n  ')}`);
  return config;
}
