import { LogKeys, mongoSource, openOutside, verifyAudit } from '@biz/audit';
import { Progress } from '../progress.ts';
import type { Report } from '../report.ts';
import { type FilledStore, ORIGIN } from './filled.ts';
import { bareWalk, perSecond, withPeak } from './floor.ts';

/** The verifier over the whole store, with the checkpoints kept outside; the floor is the bare read of all records. */
export async function benchVerify(store: FilledStore, report: Report): Promise<void> {
  const floor = await withPeak(() => bareWalk(store));
  await using outside = await openOutside(store.file);
  const keys = new LogKeys(ORIGIN, store.signerOf('audit-0').publicKey);
  const progress = new Progress('verifying', store.records);
  let seen = 0;
  const onProgress = ({ checked }: { checked: number }) => {
    progress.add(checked - seen);
    seen = checked;
  };
  const started = performance.now();
  const { result, grownMiB } = await withPeak(() => verifyAudit(mongoSource(store.db, outside), { keys, onProgress }));
  const rate = perSecond(result.checked, started);
  if (!result.ok || result.checked !== store.records) throw new Error(`the store does not verify: ${JSON.stringify(result.first_bad)}`);
  report.add(`verify ${store.records} records, ${outside.count} checkpoints outside`, rate, 'records/s', {
    floor: floor.result,
    spread: `${(result.checked / rate).toFixed(1)} s, one run`,
  });
  report.add('memory that verifying adds', grownMiB, 'MiB', {
    floor: floor.grownMiB,
    spread: `${result.entities} entities take ${(result.entity_bytes / 2 ** 20).toFixed(1)} MiB of it; the floor is the bare read before`,
  });
}
