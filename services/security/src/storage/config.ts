import { z } from 'zod';
import { openCloudwatchStorage } from './cloudwatch.ts';
import { openElasticsearchStorage } from './elasticsearch.ts';
import { openFileStorage } from './file.ts';
import type { AuditLogStorage } from './port.ts';
import { openPostgresqlStorage } from './postgresql.ts';

const names = ['mongodb', 'elasticsearch', 'postgresql', 'cloudwatch', 'file'] as const;
type Name = (typeof names)[number];

const count = (fallback: number) => z.coerce.number().int().positive().default(fallback);

/** Settings of the storages; README.md tells of each. */
export const storageShape = {
  /** With commas between; MongoDB is always among them, since the others get their events from it. */
  SECURITY_STORAGES: z
    .string()
    .default('mongodb')
    .transform((text) => [...new Set(['mongodb', ...text.split(',').map((name) => name.trim())].filter(Boolean))])
    .pipe(z.array(z.enum(names))),
  /** The one that lists are read from. */
  SECURITY_QUERY_STORAGE: z.enum(names).default('mongodb'),
  /** Events that a further storage is given at once, and the longest pause between two tries when it is away. */
  FORWARD_BATCH: count(500),
  FORWARD_MAX_PAUSE_MS: count(30_000),
  ELASTICSEARCH_URL: z.url().optional(),
  ELASTICSEARCH_INDEX: z.string().min(1).default('security-events'),
  POSTGRESQL_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  CLOUDWATCH_REGION: z.string().min(1).optional(),
  /** Another address than AWS's own. */
  CLOUDWATCH_ENDPOINT: z.url().optional(),
  CLOUDWATCH_LOG_GROUP: z.string().min(1).default('/biz/security'),
  /** Days after which AWS drops events; never when not given. */
  CLOUDWATCH_RETENTION_DAYS: z.coerce.number().int().positive().optional(),
  SECURITY_FILE_FOLDER: z.string().min(1).optional(),
  /** Bytes after which a new file is begun. */
  SECURITY_FILE_MAX_BYTES: count(64 * 1024 * 1024),
};

export type StorageConfig = z.output<z.ZodObject<typeof storageShape>>;

/** What each storage beside MongoDB cannot do without. */
const needed: Record<Exclude<Name, 'mongodb'>, keyof StorageConfig> = {
  elasticsearch: 'ELASTICSEARCH_URL',
  postgresql: 'POSTGRESQL_URL',
  cloudwatch: 'CLOUDWATCH_REGION',
  file: 'SECURITY_FILE_FOLDER',
};

/** What is wrong with the settings together; each names its setting. */
export function storageFaults(config: StorageConfig): string[] {
  const faults = othersOf(config).flatMap((name) =>
    config[needed[name]] === undefined ? [`${needed[name]}: is needed for the storage ${name}`] : [],
  );
  const { SECURITY_QUERY_STORAGE: queried, SECURITY_STORAGES: on } = config;
  return on.includes(queried) ? faults : [...faults, `SECURITY_QUERY_STORAGE: ${queried} is not among SECURITY_STORAGES`];
}

function othersOf(config: StorageConfig): Exclude<Name, 'mongodb'>[] {
  return config.SECURITY_STORAGES.filter((name) => name !== 'mongodb');
}

/** How each storage beside MongoDB that is on is opened. */
export function otherStorages(config: StorageConfig): Record<string, () => Promise<AuditLogStorage>> {
  const openers: Record<Exclude<Name, 'mongodb'>, () => Promise<AuditLogStorage>> = {
    elasticsearch: () => openElasticsearchStorage({ url: config.ELASTICSEARCH_URL ?? '', index: config.ELASTICSEARCH_INDEX }),
    postgresql: () => openPostgresqlStorage({ url: config.POSTGRESQL_URL ?? '' }),
    cloudwatch: () =>
      openCloudwatchStorage({
        region: config.CLOUDWATCH_REGION ?? '',
        endpoint: config.CLOUDWATCH_ENDPOINT,
        group: config.CLOUDWATCH_LOG_GROUP,
        retentionDays: config.CLOUDWATCH_RETENTION_DAYS,
      }),
    file: () => openFileStorage({ folder: config.SECURITY_FILE_FOLDER ?? '', maxBytes: config.SECURITY_FILE_MAX_BYTES }),
  };
  return Object.fromEntries(othersOf(config).map((name) => [name, openers[name]]));
}
