import { flagsShape } from '@biz/flags';
import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';

export type Config = ReturnType<typeof readServiceConfig>;

const count = (fallback: number) => z.coerce.number().int().positive().default(fallback);

/** Keys of at least 32 bytes, base64, with commas or white space between. */
const keys = z
  .string()
  .transform((text) => text.split(/[\s,]+/).filter(Boolean))
  .refine((parts) => parts.length > 0 && parts.every((part) => z.base64().safeParse(part).success), 'must be base64')
  .transform((parts) => parts.map((part) => Buffer.from(part, 'base64')))
  .refine((parts) => parts.every((bytes) => bytes.length >= 32), 'must have at least 32 bytes each');

/** Settings of this service beside those of every service; README.md tells of each. */
export const ownShape = {
  MONGODB_DATABASE: z.string().min(1).default('notification'),
  SMTP_URL: z.url({ protocol: /^smtps?$/ }),
  MAIL_FROM: z.string().min(3).default('Biz Retail <no-reply@localhost>'),
  /** Mails under way at once. */
  MAIL_CONNECTIONS: count(5),
  /** With the pauses below: given up after some eight hours. */
  MAIL_MAX_ATTEMPTS: count(20),
  MAIL_FIRST_PAUSE_MS: count(5_000),
  MAIL_MAX_PAUSE_MS: count(3_600_000),
  /** Keys that the secrets of webhooks are made from: the first is told, all sign; without one there are no webhooks. */
  WEBHOOK_KEY: keys.optional(),
  /** The longest that one attempt at a webhook may take. */
  WEBHOOK_TIMEOUT_MS: count(10_000),
  /** Webhooks under way at once. */
  WEBHOOK_CONNECTIONS: count(5),
  /** Networks beyond the public internet that webhooks may be in, `10.1.0.0/16,fd00::/8`. */
  WEBHOOK_NETWORKS: z
    .string()
    .default('')
    .transform((text) => text.split(',').filter(Boolean)),
  /** Whether a webhook may be on this machine, also by `http:`. For development only. */
  WEBHOOK_LOOPBACK: z.stringbool().default(false),
  /** Where people sign in; told in the welcome mail. */
  PUBLIC_URL: z.url().optional(),
  CONSUMER_GROUP: z.string().min(1).default('notification'),
  /** Users created longer ago are not welcomed any more: a new consumer group reads the topic from its start. */
  WELCOME_MAX_AGE_HOURS: z.coerce.number().positive().default(24),
  ...flagsShape,
};

/** Names of all settings: `withSecrets` reads those that stand in the secret manager. */
export const settingNames: readonly string[] = Object.keys({ ...serviceShape, ...ownShape });

/** The environment of this service, read once. Throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig({ ...serviceShape, ...ownShape }, env);
}
