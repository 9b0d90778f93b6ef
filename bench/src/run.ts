// `npm run bench [name …]`: every benchmark, or those named (tree, access, fleet, consumer, store, restore, telemetry). Each prints its figures beside their floors and all go to results.json.
import { launchFleet } from '@biz/local';
import { benchAccess } from './access.ts';
import { benchAuditConsumer } from './audit-consumer.ts';
import { benchMemory } from './memory.ts';
import { benchMutation } from './mutation.ts';
import { Report } from './report.ts';
import { benchRestore } from './restore.ts';
import { benchAuditStore } from './store/bench.ts';
import { benchTelemetry } from './telemetry.ts';
import { benchTree } from './tree.ts';

const report = new Report();
const named = process.argv.slice(2);
const wanted = (name: string) => named.length === 0 || named.includes(name);

if (wanted('tree')) benchTree(report);
if (wanted('access')) await benchAccess(report);
if (['fleet', 'consumer', 'store', 'restore'].some(wanted)) await benchOnFleet();
if (wanted('telemetry')) await benchTelemetry(report);
report.write();

async function benchOnFleet(): Promise<void> {
  await using fleet = await launchFleet();
  if (wanted('fleet')) {
    report.add('later start (engines installed, empty data)', fleet.startedInMs / 1000, 's', {
      target: '<= 45',
      ok: fleet.startedInMs <= 45_000,
    });
    await benchMutation(fleet, report);
    benchMemory(fleet, report);
  }
  const { mongodb_url: mongodbUrl, kafka_brokers } = await fleet.run();
  if (wanted('consumer')) await benchAuditConsumer({ mongodbUrl, kafkaBrokers: kafka_brokers.split(',') }, report);
  if (wanted('store')) await benchAuditStore({ mongodbUrl }, report);
  if (wanted('restore')) await benchRestore({ mongodbUrl }, report);
}
