import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { cached, copyWhole, exists } from '../cache.ts';
import { fetchBy, run } from '../command.ts';
import { type Engine, type Installed, type Ports, portOf, type StartContext } from '../engine.ts';
import { freePort } from '../ports.ts';
import type { ProcessSpec } from '../supervisor.ts';
import { tool } from '../tools.ts';
import { sharedClasses, warmUp } from '../warm.ts';

const VERSION = '4.1.0';
const PROPERTIES = 'server.properties';
const recipe = join(import.meta.dirname, '..', '..', 'engines', 'kafka');
const LOG4J = `-Dlog4j2.configurationFile=${join(recipe, 'log4j2.yaml')}`;
/** For brokers that share one machine with everything else. */
const JVM = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:+ExitOnOutOfMemoryError', '-Djava.awt.headless=true'];

/** Apache Kafka, one node in KRaft mode, from its jars. */
export const kafka: Engine = kafkaOf(1);

/**
 * Apache Kafka of so many brokers on this machine, each a controller, too: with three of them any one may be away, and when two are, what is
 * written waits until one is back. Topics have as many replicas as there are brokers (see replicationOf).
 */
export function kafkaOf(brokers: number): Engine {
  const nodes = Array.from({ length: brokers }, (_, index) => index + 1);
  return {
    name: 'kafka',
    version: VERSION,
    variable: 'KAFKA_BROKERS',
    ports: nodes.flatMap((node) => [portName(node), controllerName(node)]),
    address: (ports) => nodes.map((node) => addressOf(ports, node)).join(','),
    answers: async (address) => (await brokersOf(address)) > 0,
    install: ({ cache, progress }) => install(cache, progress),
    process: async (context) => {
      await assertSameSize(context.dataDir, brokers);
      return brokerSpec(context, brokers, 1);
    },
    others: (context) => Promise.all(nodes.slice(1).map((node) => brokerSpec(context, brokers, node))),
  };
}

/** Replicas of each partition, and how many of them must have a message before it counts as written, by the number of brokers. */
export function replicationOf(brokers: number): { replicas: number; inSync: number } {
  const replicas = Math.min(brokers, 3);
  return { replicas, inSync: Math.max(1, replicas - 1) };
}

/** How many brokers the cluster at an address has at present. Throws when none answers. */
export async function brokersOf(address: string): Promise<number> {
  const times = { connectionTimeout: 1_000, requestTimeout: 2_000, retry: { retries: 0 } };
  const admin = new Kafka({ brokers: address.split(','), logLevel: logLevel.NOTHING, ...times }).admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length;
  } finally {
    await admin.disconnect();
  }
}

/** The first keeps the names that one broker alone has. */
function portName(node: number): string {
  return node === 1 ? 'kafka' : `kafka-${node}`;
}

function controllerName(node: number): string {
  return `${portName(node)}-controller`;
}

function addressOf(ports: Ports, node: number): string {
  return `127.0.0.1:${portOf(ports, portName(node))}`;
}

async function install(cache: string, progress: (text: string) => void): Promise<Installed> {
  await tool('java', 'run Kafka', progress);
  const home = await cached({
    root: cache,
    name: `kafka-${VERSION}`,
    proof: join('lib', `kafka_2.13-${VERSION}.jar`),
    progress,
    async make(folder) {
      const mvn = await tool('mvn', 'fetch Kafka', progress);
      progress('fetching its jars, 43 MB');
      const args = ['-q', '-B', '-f', join(recipe, 'pom.xml'), 'dependency:copy-dependencies', `-DoutputDirectory=${join(folder, 'lib')}`];
      await fetchBy(mvn, args);
    },
  });
  const warm = await warmUp({
    cache,
    name: `kafka-${VERSION}`,
    progress,
    async prepare(folder) {
      const dataDir = join(folder, 'scratch', 'data');
      const ports = { [portName(1)]: await freePort(), [controllerName(1)]: await freePort() };
      const spec = await brokerSpec({ home, dataDir, ports }, 1, 1);
      await copyWhole(join(dataDir, 'log'), join(folder, 'formatted'));
      return spec;
    },
  });
  return { home, warm };
}

async function brokerSpec(context: StartContext, brokers: number, node: number): Promise<ProcessSpec> {
  const { home, warm, dataDir, ports } = context;
  const folder = brokerFolder(dataDir, node);
  const properties = await writeProperties(folder, ports, brokers, node);
  await format(context, properties, folder, node);
  return {
    name: portName(node),
    layer: 'engines',
    command: 'java',
    args: [...sharedClasses(warm), LOG4J, ...JVM, '-cp', join(home, 'lib', '*'), 'kafka.Kafka', properties],
    ready: async () => (await brokersOf(addressOf(ports, node))) > 0,
    readyWithinMs: 300_000,
    stopWithinMs: 20_000,
  };
}

/** The first broker's is the engine's own, the others have a folder in it. */
function brokerFolder(dataDir: string, node: number): string {
  return node === 1 ? dataDir : join(dataDir, String(node));
}

/** An empty storage with the cluster's id; from the first run when there was one, which spares a start of Java. */
async function format({ home, warm, dataDir }: StartContext, properties: string, folder: string, node: number): Promise<void> {
  const log = join(folder, 'log');
  if (await exists(join(log, 'meta.properties'))) return;
  if (warm === undefined) {
    const args = ['format', '-t', await clusterId(dataDir), '-c', properties];
    await run('java', [LOG4J, ...JVM, '-XX:TieredStopAtLevel=1', '-cp', join(home, 'lib', '*'), 'kafka.tools.StorageTool', ...args]);
    return;
  }
  await copyWhole(join(warm, 'formatted'), log);
  if (node === 1) return;
  const meta = join(log, 'meta.properties');
  const text = await readFile(meta, 'utf8');
  await writeFile(meta, text.replace(/^node\.id=.*$/m, `node.id=${node}`).replace(/^directory\.id=.*$/m, `directory.id=${newUuid()}`));
}

/** The recipe's properties with this start's ports and folder. The addresses are in no stored metadata, so they may differ at each start. */
async function writeProperties(folder: string, ports: Ports, brokers: number, node: number): Promise<string> {
  await mkdir(folder, { recursive: true });
  const template = await readFile(join(recipe, PROPERTIES), 'utf8');
  const controllerOf = (id: number) => `127.0.0.1:${portOf(ports, controllerName(id))}`;
  const voters = Array.from({ length: brokers }, (_, index) => `${index + 1}@${controllerOf(index + 1)}`).join(',');
  const { replicas, inSync } = replicationOf(brokers);
  const text = template
    .replaceAll('1@127.0.0.1:19093', voters)
    .replaceAll('127.0.0.1:19092', addressOf(ports, node))
    .replaceAll('127.0.0.1:19093', controllerOf(node))
    .replace(/^node\.id=.*$/m, `node.id=${node}`)
    .replace(/^(offsets\.topic|transaction\.state\.log)\.replication\.factor=.*$/gm, `$1.replication.factor=${replicas}`)
    .replace(/^transaction\.state\.log\.min\.isr=.*$/m, `transaction.state.log.min.isr=${inSync}`)
    .replace('log.dirs=DATA', `log.dirs=${join(folder, 'log')}`);
  const file = join(folder, PROPERTIES);
  await writeFile(file, text);
  return file;
}

/** A quorum of other members could choose one that lacks what the others know: a cluster keeps its size. Throws an Error that says what to do. */
async function assertSameSize(dataDir: string, brokers: number): Promise<void> {
  const former = await readFile(join(dataDir, PROPERTIES), 'utf8').catch(() => undefined);
  const size = /^controller\.quorum\.voters=(.*)$/m.exec(former ?? '')?.[1]?.split(',').length ?? brokers;
  if (size === brokers) return;
  throw new Error(`Kafka's data here is of ${size} broker(s), not ${brokers}: start with "--brokers ${size}", or anew with "--reset"`);
}

/** The id of the cluster, which all brokers share: that of the first one's storage, once there is one. */
async function clusterId(dataDir: string): Promise<string> {
  const meta = await readFile(join(dataDir, 'log', 'meta.properties'), 'utf8').catch(() => '');
  return /^cluster\.id=(.+)$/m.exec(meta)?.[1] ?? newClusterId();
}

/** Kafka's form of a UUID: 16 bytes as base64url. A dash in front would be taken for an option. */
function newClusterId(): string {
  const id = newUuid();
  return id.startsWith('-') ? newClusterId() : id;
}

function newUuid(): string {
  return Buffer.from(crypto.randomUUID().replaceAll('-', ''), 'hex').toString('base64url');
}
