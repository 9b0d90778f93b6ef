import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';

export type Config = ReturnType<typeof readServiceConfig>;

const count = (fallback: number) => z.coerce.number().int().positive().default(fallback);

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
  /** Where people sign in; told in the welcome mail. */
  PUBLIC_URL: z.url().optional(),
  CONSUMER_GROUP: z.string().min(1).default('notification'),
  /** Users created longer ago are not welcomed any more: a new consumer group reads the topic from its start. */
  WELCOME_MAX_AGE_HOURS: z.coerce.number().positive().default(24),
};

/** The environment of this service, read once. Throws an Error that names every fault. */
export function readServiceConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig({ ...serviceShape, ...ownShape }, env);
}
