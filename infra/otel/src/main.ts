// Makes Elasticsearch ready for the collector (index templates), then deletes what is past its time, again and again; with `--once` it ends after the
// first round: for a job that runs by a clock.
import { parseArgs } from 'node:util';
import { createLog, runProcess } from '@biz/service';
import { otelConfig } from './config.ts';
import { applyRetention } from './retention.ts';
import { keepStore, keptBy, openStore } from './store.ts';
import { installTemplates } from './templates.ts';

const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } });
const log = createLog('telemetry-store', process.env.LOG_LEVEL);

if (values.once) await once();
else await runProcess(log, stay);

async function stay() {
  const config = otelConfig();
  const kept = await keepStore(config, log);
  // without what stands before an @: it may be a password
  const address = config.ELASTICSEARCH_URL.replaceAll(/\/\/[^@,/]*@/g, '//');
  return { address, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}

async function once(): Promise<void> {
  const config = otelConfig();
  const client = openStore(config);
  try {
    await installTemplates(client);
    log.info({ deleted: await applyRetention(client, keptBy(config)) }, 'templates are in place, what is past its time is deleted');
  } finally {
    await client.close();
  }
}
