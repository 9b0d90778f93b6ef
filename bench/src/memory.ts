import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LaunchedFleet } from '@biz/local';
import type { Report } from './report.ts';

/** Resident memory of each process of the fleet, engines included, as the system counts it (Linux). */
export function benchMemory(fleet: LaunchedFleet, report: Report): void {
  const folder = join(fleet.folder, 'run');
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()) {
    const { name, pid } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { name: string; pid: number };
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    if (resident) report.add(`resident memory of ${name}`, Number(resident) / 1024, 'MiB');
  }
}
