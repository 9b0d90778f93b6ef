import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { cached, copyWhole, exists } from '../cache.ts';
import { run } from '../command.ts';
import { type Engine, portOf } from '../engine.ts';
import { freePort } from '../ports.ts';
import { tool } from '../tools.ts';
import { sharedClasses, warmUp } from '../warm.ts';

const VERSION = '4.1.0';
const recipe = join(import.meta.dirname, '..', '..', 'engines', 'kafka');
const LOG4J = `-Dlog4j2.configurationFile=${join(recipe, 'log4j2.yaml')}`;
/** For one broker on one machine. */
const JVM = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:+ExitOnOutOfMemoryError', '-Djava.awt.headless=true'];

/** Apache Kafka, one node in KRaft mode, from its jars. */
export const kafka: Engine = {
  name: 'kafka',
  version: VERSION,
  variable: 'KAFKA_BROKERS',
  ports: ['kafka', 'kafka-controller'],
  address: (ports) => `127.0.0.1:${portOf(ports, 'kafka')}`,

  async answers(address) {
    const times = { connectionTimeout: 1_000, requestTimeout: 2_000, retry: { retries: 0 } };
    const admin = new Kafka({ brokers: address.split(','), logLevel: logLevel.NOTHING, ...times }).admin();
    try {
      await admin.connect();
      return (await admin.describeCluster()).brokers.length > 0;
    } finally {
      await admin.disconnect();
    }
  },

  async install({ cache, progress }) {
    await tool('java', 'run Kafka', progress);
    const home = await cached({
      root: cache,
      name: `kafka-${VERSION}`,
      proof: join('lib', `kafka_2.13-${VERSION}.jar`),
      progress,
      async make(folder) {
        const mvn = await tool('mvn', 'fetch Kafka', progress);
        progress('fetching its jars, 43 MB');
        const args = [
          '-q',
          '-B',
          '-f',
          join(recipe, 'pom.xml'),
          'dependency:copy-dependencies',
          `-DoutputDirectory=${join(folder, 'lib')}`,
        ];
        await run(mvn, args);
      },
    });
    const warm = await warmUp({
      cache,
      name: `kafka-${VERSION}`,
      progress,
      async prepare(folder) {
        const dataDir = join(folder, 'scratch', 'data');
        const spec = await kafka.process({ home, dataDir, ports: { kafka: await freePort(), 'kafka-controller': await freePort() } });
        await copyWhole(join(dataDir, 'log'), join(folder, 'formatted'));
        return spec;
      },
    });
    return { home, warm };
  },

  async process({ home, warm, dataDir, ports }) {
    const properties = await writeProperties(dataDir, portOf(ports, 'kafka'), portOf(ports, 'kafka-controller'));
    await format(home, warm, dataDir, properties);
    return {
      name: 'kafka',
      layer: 'engines',
      command: 'java',
      args: [...sharedClasses(warm), LOG4J, ...JVM, '-cp', join(home, 'lib', '*'), 'kafka.Kafka', properties],
      ready: () => kafka.answers(kafka.address(ports)),
      readyWithinMs: 180_000,
      stopWithinMs: 20_000,
    };
  },
};

/** An empty storage with its cluster id; from the first run when there was one, which spares a start of Java. */
async function format(home: string, warm: string | undefined, dataDir: string, properties: string): Promise<void> {
  const log = join(dataDir, 'log');
  if (await exists(join(log, 'meta.properties'))) return;
  if (warm !== undefined) return copyWhole(join(warm, 'formatted'), log);
  const args = ['format', '-t', clusterId(), '-c', properties];
  await run('java', [LOG4J, ...JVM, '-XX:TieredStopAtLevel=1', '-cp', join(home, 'lib', '*'), 'kafka.tools.StorageTool', ...args]);
}

/** The recipe's properties with this start's ports and folder. The addresses are in no stored metadata, so they may differ at each start. */
async function writeProperties(dataDir: string, port: number, controller: number): Promise<string> {
  await mkdir(dataDir, { recursive: true });
  const template = await readFile(join(recipe, 'server.properties'), 'utf8');
  const text = template
    .replaceAll('19092', String(port))
    .replaceAll('19093', String(controller))
    .replace('log.dirs=DATA', `log.dirs=${join(dataDir, 'log')}`);
  const file = join(dataDir, 'server.properties');
  await writeFile(file, text);
  return file;
}

/** Kafka's form of a UUID: 16 bytes as base64url. */
function clusterId(): string {
  return Buffer.from(crypto.randomUUID().replaceAll('-', ''), 'hex').toString('base64url');
}
