import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@biz/errors';
import { catalogue, type MetricEntry } from '@biz/telemetry';
import { type ReceivedSpan, type TestCollector, testCollector } from '@biz/testing';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type TestFleet, testFleet } from './testing/index.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 240_000 });

const traceId = (n: number) => n.toString(16).padStart(32, 'c');
const traceparent = (n: number) => `00-${traceId(n)}-00f067aa0ba902b7-01`;
const person = { name: 'zuleica', email: 'zuleica@example.com' };

let fleet: TestFleet;
let collector: TestCollector;
let answers: Record<string, { status: number; traceId: unknown; problem: { trace_id?: string } }>;
let lines: Record<string, unknown>[];

/** A gateway as a process of its own, with telemetry, asked a few things and stopped by SIGTERM: everything that it had to tell has arrived. */
beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center'] });
  collector = await testCollector();
  fleet.services.handlers.set('GetCostCenter', async () => {
    throw new AppError('not_found', `There is no ${person.email}.`);
  });
  const { child, said, url } = await startGateway();
  const dispatcher = new Agent({ connect: { ca: readFileSync(fleet.tls.caFile) } });
  const authorization = `Bearer ${await fleet.issuer.token()}`;
  const ask = async (n: number, method: 'GET' | 'POST', path: string, headers: Record<string, string>, body?: string) => {
    const more = { traceparent: traceparent(n), tracestate: `who=${person.name}`, 'user-agent': person.email, ...headers };
    const answer = await request(url + path, { method, dispatcher, headers: more, ...(body && { body }) });
    const problem = (await answer.body.json().catch(() => ({}))) as { trace_id?: string };
    return { status: answer.statusCode, traceId: answer.headers['x-trace-id'], problem };
  };
  const json = { authorization, 'content-type': 'application/json' };
  answers = {
    made: await ask(1, 'POST', '/v1/cost-centers', json, JSON.stringify({ code: 'A-1', name: person.name })),
    missing: await ask(2, 'GET', '/v1/cost-centers/01890000-0000-7000-8000-000000000000', { authorization }),
    wrong: await ask(3, 'POST', '/v1/cost-centers', json, JSON.stringify({ [person.email]: 1 })),
    nobody: await ask(4, 'GET', `/v1/cost-centers?name=${person.name}`, { authorization: `Bearer ${person.name}` }),
    nowhere: await ask(5, 'GET', `/v1/${person.name}/${person.email}`, { authorization }),
    badPath: await ask(6, 'GET', `/v1/cost-centers/%E0%A4%A`, { authorization }),
  };
  const ended = once(child, 'close'); // with it, unlike `exit`, all that it said is here
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
  await dispatcher.close();
  lines = said
    .join('')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
});
afterAll(async () => {
  await collector?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

async function startGateway(): Promise<{ child: ChildProcess; said: string[]; url: string }> {
  const files = fleet.tls.tls('gateway');
  const said: string[] = [];
  const child = fork(join(import.meta.dirname, 'main.ts'), [], {
    cwd: import.meta.dirname,
    execArgv: ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', '--import', '@biz/telemetry/preload'],
    env: {
      PATH: process.env.PATH ?? '',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_SERVICE_NAME: 'gateway',
      OTEL_METRIC_EXPORT_INTERVAL: '600000', // once, when it stops
      GATEWAY_PORT: '0',
      TLS_CA_FILE: files.caFile,
      TLS_CERT_FILE: files.certFile,
      TLS_KEY_FILE: files.keyFile,
      OIDC_ISSUER: fleet.issuer.issuer,
      OIDC_JWKS_URL: fleet.issuer.jwksUrl,
      SERVICE_ADDRESSES: `cost-center=${fleet.services.addresses['cost-center']}`,
      PRESSURE_EVENT_LOOP_DELAY_MS: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  child.stdout?.on('data', (text) => said.push(String(text)));
  const [message] = (await once(child, 'message')) as [{ address: string }];
  return { child, said, url: `https://localhost:${message.address.split(':')[1]}` };
}

/** The span of the request with this number. */
function served(n: number): ReceivedSpan {
  const found = collector.spans.find(({ trace_id, kind }) => trace_id === traceId(n) && kind === 2);
  expect(found, `a span of request ${n}`).toBeDefined();
  return found as ReceivedSpan;
}

describe('a request', () => {
  it('continues the trace of its client: in the answer, the problem document, the log, and on the way to the service', () => {
    expect(answers.made).toMatchObject({ status: 201, traceId: traceId(1) });
    expect(answers.missing).toMatchObject({ status: 404, traceId: traceId(2), problem: { trace_id: traceId(2) } });
    expect(lines.filter((line) => line.msg === 'answered').map((line) => line.trace_id)).toContain(traceId(2));
    const asked = collector.spans.find(({ name }) => name === 'biz.cost_center.v1.CostCenterService/CreateCostCenter');
    expect(asked).toMatchObject({ kind: 3, trace_id: traceId(1), parent_span_id: served(1).span_id });
    const { call } = fleet.services.received[0] ?? {};
    expect(call?.context).toMatchObject({ trace_id: traceId(1), traceparent: `00-${traceId(1)}-${asked?.span_id}-01` });
  });

  it('is told by method, route, status, error code and company', () => {
    expect(served(1)).toMatchObject({
      name: 'POST /v1/cost-centers',
      parent_span_id: '00f067aa0ba902b7',
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/v1/cost-centers',
        'http.response.status_code': 201,
        'biz.company_id': expect.any(String),
      },
    });
    expect(served(2).attributes).toMatchObject({ 'http.route': '/v1/cost-centers/:id', 'error.type': 'not_found' });
    expect(served(3).attributes).toMatchObject({ 'http.response.status_code': 400, 'error.type': 'invalid_request' });
    expect(served(4).attributes).toMatchObject({ 'http.response.status_code': 401, 'error.type': 'token_invalid' });
    expect(served(5)).toMatchObject({ name: 'GET', attributes: { 'http.response.status_code': 404, 'error.type': 'not_found' } });
    expect(served(5).attributes['http.route']).toBeUndefined();
    expect(served(6).attributes).toMatchObject({ 'http.response.status_code': 400 });
  });

  it('tells nothing of what it held', () => {
    expect(collector.raw.length).toBeGreaterThan(2);
    for (const body of collector.raw) expect(body).not.toMatch(/zuleica|eyJ|example\.com/i);
  });

  it('has a log line that is found by its trace', () => {
    const line = collector.logs.find(({ body, trace_id }) => body === 'answered' && trace_id === traceId(2));
    expect(line).toMatchObject({ span_id: served(2).span_id, severity: 'INFO' });
    expect(line?.attributes).toEqual({ method: 'GET', route: '/v1/cost-centers/:id', status: 404, ms: expect.any(Number) });
  });
});

describe('metrics', () => {
  const points = (name: string) => collector.metrics.filter((metric) => metric.name === name).flatMap((metric) => metric.points);

  it('count requests by route, method and status, and refusals by their code', () => {
    const found = points('http.server.request.duration').map(({ attributes, count }) => [attributes, count]);
    expect(found).toContainEqual([
      { 'http.request.method': 'POST', 'http.route': '/v1/cost-centers', 'http.response.status_code': 201 },
      1,
    ]);
    expect(found).toContainEqual([{ 'http.request.method': 'GET', 'http.response.status_code': 404, 'error.type': 'not_found' }, 1]);
    expect(points('biz.gateway.refusals')).toMatchObject([{ attributes: { 'error.type': 'token_invalid' }, value: 1 }]);
  });

  it('are those of the catalogue, each of its kind and unit, with its labels', () => {
    expect(collector.metrics.length).toBeGreaterThan(4);
    for (const metric of collector.metrics) {
      const entry: MetricEntry | undefined = (catalogue as Record<string, MetricEntry>)[metric.name];
      expect(entry, metric.name).toMatchObject({ kind: metric.kind, unit: metric.unit });
      for (const { attributes } of metric.points) expect(entry?.labels).toEqual(expect.arrayContaining(Object.keys(attributes)));
    }
  });
});
