// Makes Elasticsearch ready for the collector (index templates), then deletes what is past its time, again and again; with `--once` it ends after the
// first round: for a job that runs by a clock.
import { parseArgs } from 'node:util';
import { createLog, runProcess } from '@biz/service';
import { telemetryClient } from './client.ts';
import { otelConfig } from './config.ts';
import { applyRetention, startRetention } from './retention.ts';
import { installTemplates } from './templates.ts';

const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } });
const log = createLog('telemetry-store', process.env.LOG_LEVEL);

if (values.once) {
  const { client, kept } = open();
  await installTemplates(client);
  log.info({ deleted: await applyRetention(client, kept) }, 'templates are in place, what is past its time is deleted');
  await client.close();
} else {
  await runProcess(log, async () => {
    const { client, kept, everyMs, address } = open();
    await installTemplates(client);
    const retention = startRetention(client, { ...kept, everyMs, log });
    return {
      address,
      async [Symbol.asyncDispose]() {
        await retention[Symbol.asyncDispose]();
        await client.close();
      },
    };
  });
}

function open() {
  const config = otelConfig();
  const client = telemetryClient({
    url: config.ELASTICSEARCH_URL,
    apiKey: config.ELASTICSEARCH_API_KEY,
    username: config.ELASTICSEARCH_USERNAME,
    password: config.ELASTICSEARCH_PASSWORD,
    caFile: config.ELASTICSEARCH_CA_FILE,
  });
  return {
    client,
    kept: { keepDays: config.TELEMETRY_KEEP_DAYS, namespace: config.TELEMETRY_NAMESPACE },
    everyMs: config.RETENTION_EVERY_SECONDS * 1_000,
    // without what stands before an @: it may be a password
    address: config.ELASTICSEARCH_URL.replaceAll(/\/\/[^@,/]*@/g, '//'),
  };
}
