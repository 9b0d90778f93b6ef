import { readConfig } from '@biz/service';
import { z } from 'zod';

const shape = {
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Where the collector writes to; several addresses of one cluster with commas between. */
  ELASTICSEARCH_URL: z.string().min(1),
  ELASTICSEARCH_API_KEY: z.string().optional(),
  ELASTICSEARCH_USERNAME: z.string().optional(),
  ELASTICSEARCH_PASSWORD: z.string().optional(),
  ELASTICSEARCH_CA_FILE: z.string().optional(),
  /** Days that spans, log records and metrics are kept. */
  TELEMETRY_KEEP_DAYS: z.coerce.number().positive().default(14),
  /** The last part of the data streams' names: several environments may share a cluster. */
  TELEMETRY_NAMESPACE: z
    .string()
    .regex(/^[a-z0-9_.]+$/, 'must be lower-case letters, digits, _ and .')
    .default('default'),
  /** Seconds between looks for what is past its time. */
  RETENTION_EVERY_SECONDS: z.coerce.number().positive().max(86_400).default(3_600),
};

/** The only reader of the environment. Throws one Error that names every fault. */
export function otelConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig(shape, env);
}

export type OtelConfig = ReturnType<typeof otelConfig>;
