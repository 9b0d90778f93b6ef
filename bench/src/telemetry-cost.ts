// What telemetry costs the audit's consumer: the same topic read by processes with and without it, in turn, against a collector that only takes.
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Rate } from './consumer-rate.ts';
import { type Engines, percentile, type Report } from './report.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);

/** How telemetry is set. The topic's messages are sampled, all of them; `traceidratio` asks nobody. */
const modes = {
  off: { OTEL_SDK_DISABLED: 'true' },
  'one trace in ten': { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' },
  'every trace': { OTEL_TRACES_SAMPLER: 'parentbased_always_on' },
} as const;

type Mode = keyof typeof modes;

export async function benchTelemetryCost(engines: Engines, topic: string, report: Report): Promise<void> {
  await using collector = await startSink();
  const runs = new Map<Mode, Rate[]>();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const mode of Object.keys(modes) as Mode[]) {
      const rate = await consume(engines, topic, { ...modes[mode], OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
      runs.set(mode, [...(runs.get(mode) ?? []), rate]);
    }
  }
  const median = (mode: Mode, of: keyof Rate) =>
    percentile(
      (runs.get(mode) ?? []).map((one) => one[of]),
      0.5,
    );
  for (const mode of Object.keys(modes) as Mode[]) {
    const all = runs.get(mode) ?? [];
    report.add(`audit consumer, telemetry: ${mode}`, median(mode, 'rate'), 'records/s', {
      floor: median('off', 'rate'),
      spread: `${ROUNDS} runs, ${all.map(({ rate }) => Math.round(rate)).join(', ')}`,
    });
    report.add(`CPU of the audit consumer, telemetry: ${mode}`, median(mode, 'cpu_us'), 'µs/record', {
      floor: median('off', 'cpu_us'),
      spread: all.map(({ cpu_us }) => cpu_us.toFixed(1)).join(', '),
    });
  }
}

async function consume(engines: Engines, topic: string, settings: Record<string, string>): Promise<Rate> {
  const main = join(import.meta.dirname, 'consumer-process.ts');
  const args = ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', '--import', '@biz/telemetry/preload', main];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: join(import.meta.dirname, '..'),
    env: {
      ...process.env,
      ...{ MONGODB_URL: engines.mongodbUrl, KAFKA_BROKERS: engines.kafkaBrokers.join(','), BENCH_TOPIC: topic },
      ...{ OTEL_SERVICE_NAME: 'bench', OTEL_METRIC_EXPORT_INTERVAL: '10000', ...settings },
    },
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Rate;
}

/** A collector that takes everything and does nothing with it. */
async function startSink(): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
