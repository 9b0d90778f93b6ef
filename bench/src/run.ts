// `npm run bench [name …]`: every benchmark, or those named. Each prints its figures beside their floors and all go to results.json.
import { launchFleet } from '@biz/local';
import { benchAuditConsumer } from './audit-consumer.ts';
import { benchMemory } from './memory.ts';
import { benchMutation } from './mutation.ts';
import { Report } from './report.ts';

const report = new Report();
const named = process.argv.slice(2);
const wanted = (name: string) => named.length === 0 || named.includes(name);

await using fleet = await launchFleet();
if (wanted('fleet')) {
  report.add('later start (engines installed, empty data)', fleet.startedInMs / 1000, 's', {
    target: '<= 45',
    ok: fleet.startedInMs <= 45_000,
  });
  await benchMutation(fleet, report);
  benchMemory(fleet, report);
}
if (wanted('consumer')) {
  const { mongodb_url, kafka_brokers } = await fleet.run();
  await benchAuditConsumer({ mongodbUrl: mongodb_url, kafkaBrokers: kafka_brokers.split(',') }, report);
}
report.write();
