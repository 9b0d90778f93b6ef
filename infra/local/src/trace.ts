// `npm run trace -- <trace_id>`: how a request ran through the processes, as a waterfall, or with `--json` as the gateway answers it. With the fleet of this
// clone as its user `platform`; elsewhere with BIZ_GATEWAY, BIZ_TOKEN and, for an authority of its own, BIZ_CA_FILE.
import { parseArgs } from 'node:util';
import { gatewayClient, Refusal } from './client.ts';
import type { RunFile } from './run-file.ts';
import { type Trace, waterfall } from './waterfall.ts';

const usage = `usage: npm run trace -- TRACE_ID [--json]
  TRACE_ID: 32 hex digits, or a UUID; every answer of the gateway has it (x-trace-id), and every record (trace_id)`;
/** Where no terminal says how wide it is. */
const WIDTH = 120;

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  return 1;
});

async function main(args: string[]): Promise<number> {
  const { id, json } = read(args);
  const { ask, run } = await gatewayClient('an auditor');
  const trace = await ask('GET', `/v1/traces/${encodeURIComponent(id)}`).catch((error: unknown) => {
    throw error instanceof Refusal && error.status === 404 ? new Error(absence(id, run)) : error;
  });
  if (json) console.log(JSON.stringify(trace, null, 2));
  else
    console.log(
      waterfall(trace as Trace, {
        width: process.stdout.columns ?? WIDTH,
        colours: process.stdout.isTTY === true && !process.env.NO_COLOR,
      }).join('\n'),
    );
  return 0;
}

function read(args: string[]): { id: string; json: boolean } {
  try {
    const { positionals, values } = parseArgs({ args, options: { json: { type: 'boolean' } }, allowPositionals: true });
    const [id = '', ...rest] = positionals;
    if (id === '' || rest.length > 0) throw new Error(id === '' ? 'which trace?' : 'one trace at a time');
    return { id, json: values.json === true };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${usage}`);
  }
}

function absence(id: string, run: RunFile | undefined): string {
  if (run !== undefined && run.otlp_endpoint === null) {
    return `Trace ${id} is not there: telemetry of this fleet is off, or still being brought up (what "npm start" printed says which). What was done before it is on has no trace.`;
  }
  return `Trace ${id} is not there. Spans arrive some seconds after what they tell of, so it may come yet; they are kept for some days only.`;
}
