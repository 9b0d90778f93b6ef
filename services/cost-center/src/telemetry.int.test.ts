import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, type RpcClient } from '@biz/rpc';
import { catalogue, type MetricEntry } from '@biz/telemetry';
import {
  engines,
  type ReceivedSpan,
  type TestCollector,
  type TestDatabase,
  type TestTls,
  testCollector,
  testDatabase,
  testTls,
  uniqueName,
  until,
} from '@biz/testing';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

vi.setConfig({ hookTimeout: 240_000 });

const traceId = randomBytes(16).toString('hex');
const context: CallContext = {
  actor: { id: 'zuleica', type: 'user', name: 'Zuleica' },
  role: 'manager',
  roles: ['manager'],
  company_id: randomUUID(),
  companies: [],
  clients: [],
  ip: '203.0.113.9',
  traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
  trace_id: traceId,
  request_id: 'r-1',
};

let database: TestDatabase;
let tls: TestTls;
let collector: TestCollector;

/** The service as a process of its own, with telemetry: asked for one entity, then stopped. All that it told has arrived. */
beforeAll(async () => {
  [database, tls, collector] = await Promise.all([testDatabase('cost_center'), testTls(['cost-center', 'gateway']), testCollector()]);
  const child = start();
  const [{ address }] = (await once(child, 'message')) as [{ address: string }];
  const client: RpcClient = createRpcClient({
    ...{ contract: loadContract(), service: 'biz.cost_center.v1.CostCenterService', address, tls: tls.tls('gateway') },
  });
  const asked = { ...context, companies: [context.company_id as string] };
  await client.call('CreateCostCenter', { code: 'zuleica-1', name: 'Loja da Zuleica' }, asked);
  await client.call('CreateCostCenter', { code: 'zuleica-1', name: 'Loja da Zuleica' }, asked).catch(() => undefined); // the code is taken
  // gauges are asked while the process works, not when it stops
  await until(() => collector.metrics.some(({ name }) => name === 'biz.relay.waiting'), { what: 'gauges', timeoutMs: 60_000 });
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
  client[Symbol.dispose]();
});
afterAll(async () => {
  await collector?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
  await tls?.[Symbol.asyncDispose]();
});

function start(): ChildProcess {
  const files = tls.tls('cost-center');
  return fork(join(import.meta.dirname, 'main.ts'), [], {
    cwd: import.meta.dirname,
    execArgv: ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', '--import', '@biz/telemetry/preload'],
    env: {
      PATH: process.env.PATH ?? '',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_SERVICE_NAME: 'cost-center',
      OTEL_METRIC_EXPORT_INTERVAL: '500',
      GRPC_LISTEN: '127.0.0.1:0',
      MONGODB_URL: database.url,
      MONGODB_DATABASE: database.name,
      KEYRING_DATABASE: database.name,
      KAFKA_BROKERS: engines().kafkaBrokers.join(','),
      AUDIT_TOPIC: uniqueName('audit'),
      TLS_CA_FILE: files.caFile,
      TLS_CERT_FILE: files.certFile,
      TLS_KEY_FILE: files.keyFile,
      KEK: randomBytes(32).toString('base64'),
    },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}

function spansNamed(name: string): ReceivedSpan[] {
  return collector.spans.filter((span) => span.trace_id === traceId && span.name === name);
}

test('one trace: the call, and the insert that is the commit; the event carries it on', async () => {
  const [call] = spansNamed('biz.cost_center.v1.CostCenterService/CreateCostCenter');
  const [insert] = spansNamed('insert events');
  expect(call).toMatchObject({ kind: 2, service: 'cost-center' });
  expect(insert).toMatchObject({
    parent_span_id: call?.span_id,
    attributes: { 'db.system.name': 'mongodb', 'db.collection.name': 'events' },
  });
  const event = await database.db.collection('events').findOne({});
  expect(event?.meta).toMatchObject({ trace_id: traceId, traceparent: `00-${traceId}-${call?.span_id}-01` });
});

test('what was refused is an outcome of the call, told by its code', () => {
  const refused = spansNamed('biz.cost_center.v1.CostCenterService/CreateCostCenter')[1];
  expect(refused).toMatchObject({ attributes: { 'error.type': 'already_exists' }, status: { code: 0, message: '' } });
});

test('spans are of work, not of polling', () => {
  const roots = collector.spans.filter(({ parent_span_id }) => parent_span_id === '').map(({ name }) => name);
  expect(roots.filter((name) => !/^relay /.test(name))).toEqual([]);
});

const ofTheLoop = ['nodejs.eventloop.utilization', ...['p50', 'p99', 'max'].map((name) => `nodejs.eventloop.delay.${name}`)];

test('metrics are those of the catalogue, each of its kind and unit, with its labels', () => {
  const names = new Set(collector.metrics.map(({ name }) => name));
  expect([...names]).toEqual(expect.arrayContaining(['rpc.server.duration', 'biz.relay.waiting', 'process.memory.usage', ...ofTheLoop]));
  for (const { name, kind, unit, points } of collector.metrics) {
    const entry: MetricEntry | undefined = (catalogue as Record<string, MetricEntry>)[name];
    expect(entry, name).toMatchObject({ kind, unit });
    for (const { attributes } of points) expect(entry?.labels).toEqual(expect.arrayContaining(Object.keys(attributes)));
  }
});

test('nothing personal is told', () => {
  expect(collector.raw.length).toBeGreaterThan(2);
  for (const body of collector.raw) expect(body).not.toMatch(/zuleica|203\.0\.113/i);
});
