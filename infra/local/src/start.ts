import { mkdir, rm, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { exists } from './cache.ts';
import { layoutOf } from './layout.ts';
import { freePort, isFree } from './ports.ts';
import { plainProgress, runSteps } from './progress.ts';
import { removeRunFile, writeRunFile } from './run-file.ts';
import { type Plan, planFleet } from './run-fleet.ts';
import { createSupervisor, describe, type News, type Supervisor } from './supervisor.ts';
import { tableOf } from './table.ts';
import type { Telemetry } from './telemetry.ts';
import { tour } from './tour.ts';

const USAGE = 'usage: npm start -- [--reset] [--port 8443] [--no-tour] [--brokers 3] [--instances 2]';
const layout = layoutOf();
let supervisor: Supervisor | undefined;
let plan: Plan | undefined;
let ending: Promise<never> | undefined;
/** One after the other: each replaces the file. */
let writing: Promise<void> = Promise.resolve();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(0, `${signal}, stopping`));
process.on('disconnect', () => end(0, 'What started this is gone, stopping'));

await start().catch((error: unknown) => end(1, `npm start cannot go on: ${messageOf(error)}`));

async function start(): Promise<void> {
  const options = readOptions();
  await mkdir(layout.folder, { recursive: true });
  supervisor = await createSupervisor({ folders: layout, say: tell });
  if (supervisor.leftovers.length > 0) console.log(`Ended what an earlier start had left running: ${supervisor.leftovers.join(', ')}`);
  if (options.reset) await reset();
  const { brokers, instances } = options;
  plan = await planFleet({ layout, supervisor, gatewayPort: await portFor(options.port), brokers, instances });
  console.log(`Starting the fleet in ${layout.folder}`);
  await runSteps(plan.steps);
  const run = plan.runFile();
  await writeRunFile(layout.runFile, run);
  void bringUpTelemetry(plan.telemetry, supervisor);
  if (options.tour && !(await exists(layout.toured))) await showTour();
  console.log(`\n${tableOf(run)}\n`);
  console.log(`READY ${run.gateway}`);
}

/** Beside everything else. Its failing is told, and the fleet runs on without. */
async function bringUpTelemetry(telemetry: Telemetry, supervisor: Supervisor): Promise<void> {
  if (telemetry.off !== undefined) console.log(`Telemetry is off: ${telemetry.off}`);
  if (!telemetry.inBackground) return;
  const progress = plainProgress('Telemetry');
  try {
    await telemetry.bringUp({ folder: layout.folder, supervisor, progress, changed: rewriteRunFile });
    if (ending === undefined) console.log(`Telemetry is on, at ${telemetry.otlpEndpoint}`);
  } catch (error) {
    if (ending === undefined) console.warn(`Telemetry is off: ${messageOf(error)}`);
  }
}

function rewriteRunFile(): void {
  if (plan === undefined || ending !== undefined) return;
  const now = plan.runFile();
  writing = writing.then(() => writeRunFile(layout.runFile, now)).catch((error: unknown) => console.warn(`run.json: ${messageOf(error)}`));
}

/** Its failing is told and no reason to take the fleet down: everything is ready before it begins. */
async function showTour(): Promise<void> {
  try {
    if (plan !== undefined) console.log(`\n${(await tour(plan.runFile())).join('\n')}`);
    await writeFile(layout.toured, '');
  } catch (error) {
    console.error(`The tour was cut short: ${messageOf(error)}`);
  }
}

/** Data, keys, certificates and logs go; the packages and the user's cache of engines stay. */
async function reset(): Promise<void> {
  for (const path of [
    layout.data,
    layout.checkpoints,
    layout.security,
    layout.keys,
    layout.tls,
    layout.logs,
    layout.toured,
    layout.runFile,
  ]) {
    await rm(path, { recursive: true, force: true });
  }
}

async function portFor(port: number): Promise<number> {
  if (port === 0) return freePort();
  if (await isFree(port)) return port;
  throw new Error(`port ${port} is in use; choose another with "npm start -- --port N", or 0 for any free one`);
}

/** Ends everything in order, once, and then this process. */
function end(code: number, reason: string): Promise<never> {
  ending ??= (async () => {
    (code === 0 ? console.log : console.error)(`\n${reason}`);
    await supervisor?.stop();
    if (supervisor !== undefined) await removeRunFile(layout.runFile);
    process.exit(code);
  })();
  return ending;
}

function tell(news: News): void {
  if (ending !== undefined && news.event !== 'forced') return;
  const retry = 'waitMs' in news ? `; trying again in ${news.waitMs / 1000} s` : '';
  if (news.event === 'died') console.warn(`${news.name} ended (${describe(news.ending)}), see ${news.logFile}${retry}`);
  if (news.event === 'failed') console.warn(`${messageOf(news.error)}${retry}`);
  if (news.event === 'forced') console.warn(`${news.name} did not end in time and was forced to`);
  if (news.event !== 'back') return;
  console.log(`${news.name} is back`);
  rewriteRunFile();
}

function readOptions(): { reset: boolean; port: number; tour: boolean; brokers: number; instances: number } {
  try {
    const { values } = parseArgs({
      options: {
        reset: { type: 'boolean' },
        port: { type: 'string' },
        'no-tour': { type: 'boolean' },
        brokers: { type: 'string' },
        instances: { type: 'string' },
      },
      args: process.argv.slice(2),
    });
    const port = Number(values.port ?? '8443');
    if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`"${values.port}" is no port`);
    const [brokers, instances] = [countOf(values.brokers, 'brokers'), countOf(values.instances, 'instances')];
    return { reset: values.reset === true, port, tour: values['no-tour'] !== true, brokers, instances };
  } catch (cause) {
    throw new Error(`${messageOf(cause)}; ${USAGE}`, { cause });
  }
}

/** One when nothing is said; nine would already be more than a machine of anybody's has room for. */
function countOf(text: string | undefined, what: string): number {
  if (text === undefined || /^[1-9]$/.test(text)) return Number(text ?? '1');
  throw new Error(`"${text}" is no number of ${what} from 1 to 9`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
