import { layoutOf } from './layout.ts';
import { notedProcesses } from './processes.ts';
import { readRunFile } from './run-file.ts';
import { runningSupervisor } from './supervisor.ts';
import { columns, tableOf } from './table.ts';

const layout = layoutOf();
const supervisor = await runningSupervisor(layout.run);
const run = await readRunFile(layout.runFile);
if (supervisor === undefined) {
  console.log(`The fleet of this clone does not run (${layout.folder}); "npm start" starts it.`);
  process.exitCode = 1;
} else if (run === undefined) {
  console.log(`The fleet is being started (pid ${supervisor}).`);
} else {
  const processes = await notedProcesses(layout.run);
  const rows = processes.toSorted((left, right) => left.name.localeCompare(right.name));
  console.log(`The fleet runs (pid ${supervisor}).\n\n${tableOf(run)}\n`);
  console.log(
    columns([['process', 'pid', ''], ...rows.map(({ name, pid, alive }) => [name, String(pid), alive ? 'runs' : 'is away'])]).join('\n'),
  );
}
