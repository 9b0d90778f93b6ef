import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client, estypes } from '@elastic/elasticsearch';

/** What telemetry consists of; each has a template in `templates/` and data streams `biz-<signal>-<namespace>`. */
export const signals = ['traces', 'logs', 'metrics'] as const;

const folder = join(import.meta.dirname, '..');

/** The collector's configuration, for whoever starts one. */
export const collectorConfig = join(folder, 'collector.yaml');

/**
 * Puts the index templates, as often as one likes: a template of an older version is replaced, what is indexed already stays as it is. Before
 * this the collector has nowhere to write: it asks for data streams, which come into being from a template only.
 */
export async function installTemplates(client: Client): Promise<void> {
  for (const signal of signals) {
    const template = JSON.parse(await readFile(join(folder, 'templates', `${signal}.json`), 'utf8')) as Omit<
      estypes.IndicesPutIndexTemplateRequest,
      'name'
    >;
    await client.indices.putIndexTemplate({ name: `biz-${signal}`, ...template });
  }
}
