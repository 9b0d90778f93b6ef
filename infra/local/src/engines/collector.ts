import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached, exists } from '../cache.ts';
import { fetchBy, outputOf } from '../command.ts';
import { type Engine, portOf } from '../engine.ts';
import { which } from '../tools.ts';

const VERSION = '0.120.0';
const PROGRAM = 'otelcol';
const recipe = join(import.meta.dirname, '..', '..', 'engines', 'collector', 'builder.yaml');
/** From this version on, go fetches by itself the newer one that a module wants. */
const OLDEST_GO = 21;
/** The whole machine is for others first: a build takes minutes. */
const PRIORITY = 15;

/**
 * The OpenTelemetry Collector, built from Go modules with the parts that we use. It takes OTLP and writes to the Elasticsearch at that address, which may
 * come later. Its own address is the one for OTLP over HTTP.
 */
export function collectorFor(elasticsearchUrl: string, env: NodeJS.ProcessEnv = process.env): Engine {
  const engine: Engine = {
    name: 'collector',
    version: VERSION,
    variable: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    ports: ['collector', 'collector-grpc', 'collector-health'],
    address: (ports) => `http://127.0.0.1:${portOf(ports, 'collector')}`,
    answers,

    async install({ cache, progress }) {
      const home = await cached({ root: cache, name: folderName, proof: PROGRAM, progress, make: (folder) => build(folder, progress) });
      return { home };
    },

    async process({ home, ports }) {
      const { collectorConfig } = await import('@biz/otel'); // with a client of Elasticsearch, that a start need not wait for
      const listen = (name: string) => `127.0.0.1:${portOf(ports, name)}`;
      return {
        name: 'collector',
        layer: 'telemetry',
        command: join(home, PROGRAM),
        args: ['--config', collectorConfig],
        env: {
          ...credentials(env),
          ELASTICSEARCH_URL: elasticsearchUrl,
          OTLP_HTTP_LISTEN: listen('collector'),
          OTLP_GRPC_LISTEN: listen('collector-grpc'),
          HEALTH_LISTEN: listen('collector-health'),
        },
        ready: () => answers(engine.address(ports)),
        readyWithinMs: 60_000,
        stopWithinMs: 8_000,
      };
    },
  };
  return engine;
}

/** Why it can neither be run nor be built here, in words that say what to do; undefined when it can. */
export async function whyNoCollector(cache: string): Promise<string | undefined> {
  if (await exists(join(cache, folderName, PROGRAM))) return undefined;
  if ((await which('go')) === undefined) {
    return 'go is missing, needed to build the OpenTelemetry Collector: install Go, 1.21 or later (https://go.dev/dl)';
  }
  const version = (await outputOf('go', ['env', 'GOVERSION'])) ?? '';
  const minor = Number(/^go1\.(\d+)/.exec(version)?.[1] ?? 0);
  if (minor >= OLDEST_GO) return undefined;
  return `${version || 'this go'} is too old to build the OpenTelemetry Collector: install Go, 1.21 or later (https://go.dev/dl)`;
}

const folderName = `${PROGRAM}-${VERSION}`;

/** That it takes an export of nothing. */
async function answers(address: string): Promise<boolean> {
  const headers = { 'content-type': 'application/json' };
  return (await fetch(`${address}/v1/traces`, { method: 'POST', headers, body: '{}', signal: AbortSignal.timeout(2_000) })).ok;
}

async function build(folder: string, progress: (text: string) => void): Promise<void> {
  const env = await goEnvironment();
  const bin = join(folder, 'bin');
  const source = join(folder, 'source');
  const config = join(folder, 'builder.yaml');
  await mkdir(source);
  await writeFile(config, (await readFile(recipe, 'utf8')).replace('output_path: OUTPUT', `output_path: ${source}`));
  progress("fetching the collector's builder");
  await fetchBy('go', ['install', `go.opentelemetry.io/collector/cmd/builder@v${VERSION}`], {
    env: { ...env, GOBIN: bin },
    priority: PRIORITY,
  });
  await fetchBy(join(bin, 'builder'), ['--config', config], {
    env,
    priority: PRIORITY,
    onLine(line) {
      if (line.includes('Getting go modules')) progress('fetching its modules');
      if (line.includes('Compiling')) progress('compiling, which takes some minutes the first time');
    },
  });
  await rename(join(source, PROGRAM), join(folder, PROGRAM));
  await Promise.all([source, bin].map((path) => rm(path, { recursive: true })));
}

/**
 * Flags and the workspace of the user's own work are not for this build. `direct` is left out of the proxies: a module that the proxy has is the same
 * for everybody, and a build does not turn to dozens of version control servers because one request failed.
 */
export async function goEnvironment(): Promise<Record<string, string>> {
  const proxies = (await outputOf('go', ['env', 'GOPROXY'])) ?? '';
  const wanted = proxies.split(/[,|]/).filter((proxy) => proxy !== '' && proxy !== 'direct');
  return {
    ...(wanted.length > 0 && { GOPROXY: wanted.join(',') }),
    ...{ GO111MODULE: 'on', GOFLAGS: '-mod=mod -buildvcs=false', GOWORK: 'off', CGO_ENABLED: '0', GOOS: '', GOARCH: '' },
  };
}

/** For an Elasticsearch of somebody else. */
function credentials(env: NodeJS.ProcessEnv): Record<string, string> {
  const names = ['USERNAME', 'PASSWORD', 'API_KEY', 'CA_FILE'].map((name) => `ELASTICSEARCH_${name}`);
  return Object.fromEntries([...names, 'TELEMETRY_NAMESPACE'].flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}
