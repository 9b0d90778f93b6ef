// A broker that asks who comes, over TLS, as those in production do: the settings KAFKA_TLS_… and KAFKA_SASL_… against the real thing.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bus, createBus } from '@biz/bus';
import { kafkaConnection, kafkaShape, readConfig } from '@biz/service';
import { type TestTls, testTls, uniqueName, until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cacheFolder } from '../cache.ts';
import { run } from '../command.ts';
import { freePort } from '../ports.ts';
import { createSupervisor, type Supervisor } from '../supervisor.ts';
import { kafka } from './kafka.ts';

const password = 'hunter2-scram';
const silent = { debug() {}, info() {}, warn() {}, error() {} };
let folder: string;
let tls: TestTls;
let supervisor: Supervisor;
let broker: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-sasl-'));
  tls = await testTls(['kafka']);
  supervisor = await createSupervisor({ folders: { logs: join(folder, 'logs'), run: join(folder, 'run') }, say: () => undefined });
  const [port, inside, controller] = await Promise.all([freePort(), freePort(), freePort()]);
  const { certFile, keyFile } = tls.tls('kafka');
  const keystore = join(folder, 'keystore.pem');
  await writeFile(keystore, (await readFile(keyFile, 'utf8')) + (await readFile(certFile, 'utf8')), { mode: 0o600 });
  const properties = join(folder, 'server.properties');
  await writeFile(
    properties,
    [
      ...['process.roles=broker,controller', 'node.id=1', `controller.quorum.voters=1@127.0.0.1:${controller}`],
      `listeners=SASL_SSL://127.0.0.1:${port},INSIDE://127.0.0.1:${inside},CONTROLLER://127.0.0.1:${controller}`,
      `advertised.listeners=SASL_SSL://localhost:${port},INSIDE://127.0.0.1:${inside}`,
      'listener.security.protocol.map=SASL_SSL:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT',
      ...['controller.listener.names=CONTROLLER', 'inter.broker.listener.name=INSIDE'],
      ...['sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN', 'ssl.keystore.type=PEM', `ssl.keystore.location=${keystore}`],
      'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;',
      `listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_svc="${password}";`,
      ...['offsets.topic.replication.factor=1', 'transaction.state.log.replication.factor=1', 'transaction.state.log.min.isr=1'],
      ...['offsets.topic.num.partitions=1', 'group.initial.rebalance.delay.ms=0', `log.dirs=${join(folder, 'data')}`],
    ].join('\n'),
  );
  const { home } = await kafka.install({ cache: cacheFolder(), progress: () => undefined });
  const java = ['-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', join(home, 'lib', '*')];
  const user = `SCRAM-SHA-512=[name=svc,password=${password}]`;
  await run('java', [...java, 'kafka.tools.StorageTool', 'format', '-t', 'q1Sh-9_ISia_zwGINzRvyQ', '-c', properties, '--add-scram', user]);
  broker = `localhost:${port}`;
  await supervisor.start({
    ...{ name: 'kafka', layer: 'engines', command: 'java', args: [...java, 'kafka.Kafka', properties] },
    ready: async () =>
      (await busOf({})
        .lag('nobody', 'nothing')
        .catch((error: { type?: string }) => error.type)) === 'UNKNOWN_TOPIC_OR_PARTITION',
    ...{ readyWithinMs: 280_000, stopWithinMs: 10_000 },
  });
}, 300_000);

afterAll(async () => {
  await supervisor?.stop();
  await tls?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A bus as a process makes it from its settings. */
function busOf(over: Record<string, string>): Bus {
  const sasl = { KAFKA_SASL_MECHANISM: 'scram-sha-512', KAFKA_SASL_USERNAME: 'svc', KAFKA_SASL_PASSWORD: password };
  const env = { KAFKA_BROKERS: broker, KAFKA_TLS_CA_FILE: tls.caFile, ...sasl, ...over };
  return createBus({ ...kafkaConnection(readConfig(kafkaShape, env)), clientId: 'sasl-test', log: silent });
}

it.each(['scram-sha-512', 'plain'])('messages go and come by %s', async (mechanism) => {
  await using bus = busOf({ KAFKA_SASL_MECHANISM: mechanism });
  const topic = uniqueName('sasl');
  await bus.ensureTopics([{ topic, partitions: 1 }]);
  const came: string[] = [];
  bus.consumer({
    ...{ groupId: topic, topics: [topic], onFatal: (error) => expect.unreachable(error.message) },
    batch: async ({ messages }) => void came.push(...messages.map(({ value }) => String(value))),
  });
  await bus.producer().send(topic, [{ key: null, value: 'sealed' }]);
  await until(() => came.length > 0, { what: 'the message' });
  expect(came).toEqual(['sealed']);
});

it('another password is refused, and neither is told', async () => {
  await using bus = busOf({ KAFKA_SASL_PASSWORD: 'hunter2-other' });
  const failed = bus.ensureTopics([{ topic: 'x', partitions: 1 }]);
  await expect(failed).rejects.toThrow(/SASL|authentication/i);
  const error = (await failed.catch((caught: unknown) => caught)) as Error;
  expect(JSON.stringify([error, error.message, error.stack, error.cause])).not.toContain('hunter2');
});

it('a broker that another authority vouches for is not spoken to', async () => {
  await using other = await testTls(['kafka']);
  await using bus = busOf({ KAFKA_TLS_CA_FILE: other.caFile });
  await expect(bus.ensureTopics([{ topic: 'x', partitions: 1 }])).rejects.toThrow(/certificate|self.signed|verify/i);
});
