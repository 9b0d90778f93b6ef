import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from '../cache.ts';
import { fetchBy, run } from '../command.ts';
import { type Engine, portOf } from '../engine.ts';
import { tool } from '../tools.ts';

const VERSION = '8.19.21';
const folderName = `elasticsearch-${VERSION}`;
const recipe = join(import.meta.dirname, '..', '..', 'engines', 'elasticsearch');
const JVM = [
  '-Xms512m',
  '-Xmx512m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-XX:+ExitOnOutOfMemoryError',
  '-Djava.awt.headless=true',
];

/**
 * Elasticsearch, one node, from its jars and a launcher of one file: the engine itself without its modules (no scripts, no ingest pipelines, no
 * security). `npm start` has it for telemetry.
 */
export const elasticsearch: Engine = {
  name: 'elasticsearch',
  version: VERSION,
  variable: 'ELASTICSEARCH_URL',
  ports: ['elasticsearch', 'elasticsearch-transport'],
  address: (ports) => `http://127.0.0.1:${portOf(ports, 'elasticsearch')}`,
  // after a crash it answers before its data does
  answers: async (address) =>
    (await fetch(`${address}/_cluster/health?wait_for_status=yellow&timeout=1s`, { signal: AbortSignal.timeout(3_000) })).ok,

  async install({ cache, progress }) {
    await tool('java', 'run Elasticsearch', progress);
    const home = await cached({
      root: cache,
      name: folderName,
      proof: join('classes', 'Launcher.class'),
      progress,
      async make(folder) {
        const mvn = await tool('mvn', 'fetch Elasticsearch', progress);
        const javac = await tool('javac', 'compile its launcher', progress);
        progress('fetching its jars, 41 MB');
        const lib = join(folder, 'lib');
        await fetchBy(mvn, ['-q', '-B', '-f', join(recipe, 'pom.xml'), 'dependency:copy-dependencies', `-DoutputDirectory=${lib}`]);
        const classes = join(folder, 'classes');
        await mkdir(classes);
        await run(javac, ['-nowarn', '-Xlint:none', '-cp', join(lib, '*'), '-d', classes, join(recipe, 'Launcher.java')]);
      },
    });
    return { home };
  },

  async process({ home, dataDir, ports }) {
    const temporary = join(dataDir, 'tmp');
    await mkdir(temporary, { recursive: true });
    return {
      name: 'elasticsearch',
      layer: 'engines',
      command: 'java',
      args: [
        ...JVM,
        ...[`-Djava.io.tmpdir=${temporary}`, `-Djna.tmpdir=${temporary}`, `-Des.home=${dataDir}`],
        ...[`-Des.port=${portOf(ports, 'elasticsearch')}`, `-Des.transport.port=${portOf(ports, 'elasticsearch-transport')}`],
        ...['-cp', `${join(home, 'classes')}:${join(home, 'lib', '*')}`, 'Launcher'],
      ],
      ready: () => elasticsearch.answers(elasticsearch.address(ports)),
      readyWithinMs: 300_000,
      stopWithinMs: 15_000,
    };
  },
};

/** Where it is kept in the cache. */
export function elasticsearchFolder(cache: string): string {
  return join(cache, folderName);
}
