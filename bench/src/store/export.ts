import { exportHandlers } from '@biz/audit';
import { Progress } from '../progress.ts';
import type { Report } from '../report.ts';
import { callOf, contract } from './call.ts';
import type { FilledStore } from './filled.ts';
import { bareWalk, perSecond, withPeak } from './floor.ts';

const NEWLINE = 10;
/** The service's defaults. */
const LIMITS = { batch: 500, span: 2_000 };

/** Export as NDJSON, opened, without gRPC: of everything along the logs, and of one company along its index; the floor is the bare read of all. */
export async function benchExport(store: FilledStore, report: Report): Promise<void> {
  const floor = await withPeak(() => bareWalk(store));
  for (const [what, company] of [
    ['everything', null],
    ['one company', 'company-b'],
  ] as const) {
    const started = performance.now();
    const { result, grownMiB } = await withPeak(() => exported(store, company));
    report.add(`export of ${what} as NDJSON`, perSecond(result.lines, started), 'records/s', {
      floor: floor.result,
      spread: `${result.lines} records, ${(result.bytes / 2 ** 20).toFixed(0)} MiB, one run`,
    });
    report.add(`memory that exporting ${what} adds`, grownMiB, 'MiB', { floor: floor.grownMiB, spread: 'most at any time' });
  }
}

async function exported(store: FilledStore, company: string | null): Promise<{ lines: number; bytes: number }> {
  const { collections, keyring, records } = store;
  // the export needs no other parts
  const exporting = { model: contract.message('biz.audit.v1.Record'), ...LIMITS };
  const { ExportRecords } = exportHandlers({ collections, keyring, exporting } as Parameters<typeof exportHandlers>[0]);
  if (ExportRecords === undefined) throw new Error('there is no export');
  const progress = new Progress(`exporting ${company ?? 'everything'}`, records);
  const sum = { lines: 0, bytes: 0 };
  for await (const piece of ExportRecords({ format: 'ndjson' }, callOf('ExportService', 'ExportRecords', company))) {
    const { data } = piece as { data: Buffer };
    let lines = 0;
    for (let at = data.indexOf(NEWLINE); at >= 0; at = data.indexOf(NEWLINE, at + 1)) lines += 1;
    sum.lines += lines;
    sum.bytes += data.length;
    progress.add(lines);
  }
  if (company === null && sum.lines !== records) throw new Error(`${sum.lines} of ${records} records were exported`);
  return sum;
}
