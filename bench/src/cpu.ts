import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LaunchedFleet } from '@biz/local';

/** Processor time that the processes of a fleet have used, but for those named, in milliseconds, as the system counts it (Linux, 100 ticks a second). */
export function processorTime(fleet: LaunchedFleet, without: ReadonlySet<string>): number {
  const folder = join(fleet.folder, 'run');
  const pids = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as { name: string; pid: number })
    .filter(({ name }) => !without.has(name))
    .map(({ pid }) => pid);
  return pids.reduce((total, pid) => {
    const [user = 0, system = 0] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
      .slice(11, 13)
      .map(Number);
    return total + (user + system) * 10;
  }, 0);
}
