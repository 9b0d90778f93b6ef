import { readFileSync } from 'node:fs';
import type { Log } from '@biz/service';
import { Client } from '@elastic/elasticsearch';
import type { OtelConfig } from './config.ts';
import { type Kept, startRetention } from './retention.ts';
import { installTemplates } from './templates.ts';

/** A client of the Elasticsearch that telemetry goes to. */
export function openStore(config: OtelConfig): Client {
  const { ELASTICSEARCH_API_KEY: apiKey, ELASTICSEARCH_USERNAME: username, ELASTICSEARCH_PASSWORD: password = '' } = config;
  return new Client({
    nodes: config.ELASTICSEARCH_URL.split(',').map((one) => one.trim()),
    ...(apiKey ? { auth: { apiKey } } : username ? { auth: { username, password } } : {}),
    ...(config.ELASTICSEARCH_CA_FILE && { tls: { ca: readFileSync(config.ELASTICSEARCH_CA_FILE, 'utf8') } }),
    requestTimeout: 30_000,
    maxRetries: 1,
  });
}

/** Puts the templates, then keeps what is stored within its time until it is disposed. Fails when the templates cannot be put. */
export async function keepStore(config: OtelConfig, log: Pick<Log, 'info' | 'warn'>): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const client = openStore(config);
  stack.defer(() => client.close());
  await installTemplates(client);
  stack.use(startRetention(client, { ...keptBy(config), everyMs: config.RETENTION_EVERY_SECONDS * 1_000, log }));
  return stack.move();
}

/** What of it is kept. */
export function keptBy(config: OtelConfig): Kept {
  return { keepDays: config.TELEMETRY_KEEP_DAYS, namespace: config.TELEMETRY_NAMESPACE };
}
