import { bringUp, type Located, locate } from './bring-up.ts';
import { cacheFolder, exists } from './cache.ts';
import { collectorFor, elasticsearch, elasticsearchFolder, whyNoCollector } from './engines/index.ts';
import type { Supervisor } from './supervisor.ts';
import { canInstall, which } from './tools.ts';

/**
 * Where telemetry goes: to the OTLP endpoint that the environment names, or to a collector and an Elasticsearch of our own. These come up beside the fleet,
 * which does not wait for them and runs without them. Addresses are chosen now, so that processes can be told of them.
 */
export async function locateTelemetry(env: NodeJS.ProcessEnv = process.env): Promise<Telemetry> {
  const store = await locate(elasticsearch, env);
  const collector = await locate(collectorFor(store.address, env), env);
  const given = store.external ? store.address : undefined;
  const off = (reason: string) => telemetryOf({ endpoint: undefined, store: given, off: reason, parts: [] });
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return off('OTEL_SDK_DISABLED is set');
  // what somebody else's collector writes to is known only when it is said
  if (collector.external) return telemetryOf({ endpoint: collector.address, store: given, parts: [] });
  const cache = cacheFolder(env);
  const reason = (store.external ? undefined : await whyNoElasticsearch(cache)) ?? (await whyNoCollector(cache));
  return reason === undefined
    ? telemetryOf({ endpoint: collector.address, store: store.address, parts: [store, collector], env })
    : off(reason);
}

function telemetryOf({ endpoint, store, off, parts, env = {} }: Found): Telemetry {
  const up = new Set<Located>();
  return {
    otlpEndpoint: endpoint,
    elasticsearchUrl: store,
    off,
    inBackground: parts.length > 0,
    running: () => ({
      otlpEndpoint: parts.every((part) => up.has(part)) ? (endpoint ?? null) : null,
      elasticsearchUrl: parts.every((part) => part.engine !== elasticsearch || part.external || up.has(part)) ? (store ?? null) : null,
    }),
    async bringUp(options) {
      for (const located of parts) {
        await bringUp(located, {
          ...options,
          cache: cacheFolder(env),
          progress: (text) => options.progress(`${located.engine.name}: ${text}`),
        });
        // without templates the collector has nowhere to write
        if (located.engine === elasticsearch) await prepare(located, env, options.progress);
        up.add(located);
        options.changed();
      }
    },
  };
}

/** Templates; and of an Elasticsearch of our own, which nobody else looks after, what is past its time is deleted. */
async function prepare({ address, external }: Located, env: NodeJS.ProcessEnv, say: (text: string) => void): Promise<void> {
  const { installTemplates, keepStore, openStore, otelConfig } = await import('@biz/otel');
  const config = otelConfig({ ...env, ELASTICSEARCH_URL: address });
  if (!external) {
    const warn = (_: object, text?: string) => say(text ?? '');
    await keepStore(config, { info: () => undefined, warn });
    return;
  }
  const client = openStore(config);
  await installTemplates(client).finally(() => client.close());
}

async function whyNoElasticsearch(cache: string): Promise<string | undefined> {
  if (await canInstall()) return undefined;
  const wanted = (await exists(elasticsearchFolder(cache))) ? ['java'] : ['java', 'javac', 'mvn'];
  for (const name of wanted) {
    if ((await which(name)) === undefined)
      return `${name} is missing, needed for Elasticsearch: install a JDK, 17 or later, and Apache Maven`;
  }
  return undefined;
}

interface Found {
  endpoint: string | undefined;
  store: string | undefined;
  off?: string;
  /** To be brought up, in this order. */
  parts: readonly Located[];
  env?: NodeJS.ProcessEnv;
}

export interface Telemetry {
  /** What each process is told, whether it is there already or not; undefined when telemetry is off. */
  otlpEndpoint: string | undefined;
  /** Where traces are read. */
  elasticsearchUrl: string | undefined;
  /** Why it is off, and what to do. */
  off: string | undefined;
  /** There is something to bring up. */
  inBackground: boolean;
  /** What of it is there by now. */
  running(): { otlpEndpoint: string | null; elasticsearchUrl: string | null };
  /** Resolves when spans can be sent and read. Built the first time, which takes some minutes. `changed` is called when more of it is there. */
  bringUp(options: { folder: string; supervisor: Supervisor; progress: (text: string) => void; changed: () => void }): Promise<void>;
}
