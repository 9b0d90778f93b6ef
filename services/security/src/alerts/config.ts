import { z } from 'zod';
import type { Threshold } from './rules.ts';

/** `5/300` is five within 300 seconds; `off` is no rule. */
const threshold = (fallback: string) =>
  z
    .string()
    .regex(/^(off|[1-9]\d{0,6}\/[1-9]\d{0,4})$/, 'must be count/seconds, or off')
    .default(fallback)
    .transform((text): Threshold => {
      if (text === 'off') return null;
      const [count = 1, seconds = 1] = text.split('/').map(Number);
      return { count, seconds };
    });

/** Settings of alerts: the built-in rules, and who is told when a rule names nobody. */
export const alertShape = {
  ALERT_FAILED_LOGINS_BY_USER: threshold('5/300'),
  ALERT_FAILED_LOGINS_BY_IP: threshold('20/300'),
  ALERT_CROSS_TENANT: threshold('1/300'),
  ALERT_DELETES: threshold('20/60'),
  ALERT_PERSONAL_READS: threshold('1000/3600'),
  ALERT_NEW_COUNTRY: threshold('1/86400'),
  /** File of which country an address is in; without it there is no rule about countries. */
  ALERT_IP_COUNTRIES: z.string().min(1).optional(),
  /** E-mail addresses with commas between. */
  ALERT_EMAILS: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((address) => address.trim())
        .filter(Boolean),
    )
    .pipe(z.array(z.email())),
  /** Language of mails, and of the names of built-in rules. */
  ALERT_LOCALE: z.enum(['pt-BR', 'en']).default('pt-BR'),
  /** After this a rule that was changed elsewhere holds. */
  ALERT_RULES_REFRESH_MS: z.coerce.number().int().nonnegative().default(2_000),
  /** Where people sign in; mails name the alert there. */
  PUBLIC_URL: z.url().optional(),
};
