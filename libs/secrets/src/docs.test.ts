import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';

const file = join(import.meta.dirname, '..', '..', '..', 'docs', 'secrets.md');
const text = readFileSync(file, 'utf8');
const row = (name: string) => new RegExp(`^\\| [^|]*\`${name}\``, 'm');

/** Settings that are secrets by their names, of every config.ts. */
const named = /^\s*((?:[A-Z]+_)*(?:KEK|KEY|SECRET|PASSWORD)|MONGODB_URL|RATE_LIMIT_REDIS_URL|SMTP_URL|POSTGRESQL_URL|ELASTICSEARCH_URL):/gm;
const sources = [
  ...[
    'libs/service/src/config.ts',
    'libs/service/src/kafka.ts',
    'gateway/src/config.ts',
    'gateway/src/limits/settings.ts',
    'services/security/src/storage/config.ts',
  ],
  ...['audit', 'identity', 'notification'].map((service) => `services/${service}/src/config.ts`),
];

it('docs/secrets.md tells of every secret that a setting can be', () => {
  const settings = sources.flatMap((source) => {
    const code = readFileSync(join(dirname(file), '..', source), 'utf8');
    return [...code.matchAll(named)].map(([, name = '']) => name);
  });
  expect(settings).toEqual(expect.arrayContaining(['KEK', 'CHECKPOINT_KEY', 'SESSION_KEY', 'OIDC_CLIENT_SECRET', 'KAFKA_SASL_PASSWORD']));
  expect(settings.filter((name) => !row(name).test(text))).toEqual([]);
});

it('what docs/secrets.md points to is there', () => {
  for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)/g)) expect(existsSync(join(dirname(file), target)), target).toBe(true);
});
