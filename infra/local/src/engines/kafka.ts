import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { cached, exists } from '../cache.ts';
import { run } from '../command.ts';
import { type Engine, portOf } from '../engine.ts';
import { tool } from '../tools.ts';

const VERSION = '4.1.0';
const recipe = join(import.meta.dirname, '..', '..', 'engines', 'kafka');
/** Fewer and quicker threads and compiler stages: one broker for one machine, ready in a few seconds. */
const JVM = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:+ExitOnOutOfMemoryError', '-Djava.awt.headless=true'];

/** Apache Kafka, one node in KRaft mode, from its jars. */
export const kafka: Engine = {
  name: 'kafka',
  version: VERSION,
  variable: 'KAFKA_BROKERS',
  ports: ['kafka', 'kafka-controller'],
  address: (ports) => `127.0.0.1:${portOf(ports, 'kafka')}`,

  async install({ cache, progress }) {
    await tool('java', 'run Kafka', progress);
    return cached({
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
  },

  async process({ home, dataDir, ports }) {
    const classes = join(home, 'lib', '*');
    const log4j = `-Dlog4j2.configurationFile=${join(recipe, 'log4j2.yaml')}`;
    const properties = await writeProperties(dataDir, portOf(ports, 'kafka'), portOf(ports, 'kafka-controller'));
    if (!(await exists(join(dataDir, 'log', 'meta.properties')))) {
      const format = ['format', '-t', clusterId(), '-c', properties];
      await run('java', [log4j, ...JVM, '-XX:TieredStopAtLevel=1', '-cp', classes, 'kafka.tools.StorageTool', ...format]);
    }
    const address = kafka.address(ports);
    return {
      name: 'kafka',
      layer: 'engines',
      command: 'java',
      args: [log4j, ...JVM, '-cp', classes, 'kafka.Kafka', properties],
      ready: () => answers(address),
      readyWithinMs: 90_000,
      stopWithinMs: 20_000,
    };
  },
};

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

async function answers(broker: string): Promise<boolean> {
  const client = new Kafka({
    brokers: [broker],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    requestTimeout: 2_000,
    retry: { retries: 0 },
  });
  const admin = client.admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length > 0;
  } finally {
    await admin.disconnect();
  }
}
