import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestCollector, testCollector } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** A process that was started with the preload: how it ended, and what it said. */
async function run(does: string, env: Record<string, string>): Promise<{ code: number; lines: Record<string, unknown>[] }> {
  const args = ['--conditions=source', '--import', '@biz/telemetry/preload', join(import.meta.dirname, 'testing', 'process.ts'), does];
  const child = spawn(process.execPath, args, {
    cwd: import.meta.dirname,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  child.stdout.on('data', (text) => said.push(String(text)));
  const [code] = await once(child, 'close');
  const lines = said.join('').split('\n').filter(Boolean);
  return { code, lines: lines.map((line) => JSON.parse(line)) };
}

describe('without a collector', () => {
  it.each([
    ['no address', {}],
    ['telemetry turned off', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_SDK_DISABLED: 'TRUE' }],
  ])('%s: nothing is loaded but the API', async (_, env) => {
    const { code, lines } = await run('tell', env);
    expect(code).toBe(0);
    expect(lines).toEqual([{ packages: ['@opentelemetry/api', '@opentelemetry/api-logs'] }]);
  });

  it('a process that has an address loads the SDK', async () => {
    const { lines } = await run('tell', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
    expect(lines[0]?.packages).toContain('@opentelemetry/sdk-trace-base');
  });
});

describe('what a process sends', () => {
  let collector: TestCollector;
  beforeAll(async () => {
    collector = await testCollector();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'a-service', ENVIRONMENT: 'test', LOGNAME: 'zuleica' };
    expect(await run('work', env)).toEqual({ code: 0, lines: [] });
  });
  afterAll(() => collector?.[Symbol.asyncDispose]());

  it('holds nothing of what was put on it, nowhere', () => {
    expect(collector.raw.length).toBeGreaterThanOrEqual(3);
    for (const body of collector.raw) expect(body).not.toMatch(/zuleica|52998224725|0190a0c4|E11000|not sent|of\.a\.library/i);
  });

  it('is spans with their allowed attributes, and of errors the type', () => {
    const [fails, work, other] = collector.spans;
    expect(work).toMatchObject({
      service: 'a-service',
      name: 'do work',
      attributes: { 'biz.company_id': 'c-1' },
      events: [
        { name: 'exception', attributes: { 'error.type': 'RangeError' } },
        { name: 'other', attributes: {} },
      ],
      links: [{ trace_id: 'a'.repeat(32), attributes: {} }],
      status: { code: 2, message: '' },
    });
    expect(work?.attributes).toEqual({ 'biz.company_id': 'c-1' });
    expect(fails).toMatchObject({
      parent_span_id: work?.span_id,
      attributes: { 'error.type': 'conflict' },
      status: { code: 2, message: '' },
    });
    expect(other).toMatchObject({ name: 'other', attributes: {} });
  });

  it('is metrics of the catalogue, as differences, with its labels and once each', () => {
    const told = (name: string) => collector.metrics.find((metric) => metric.name === name);
    expect(told('biz.gateway.refusals')).toMatchObject({
      kind: 'counter',
      temporality: 1,
      points: [{ attributes: { 'error.type': 'token_expired' }, value: 2 }],
    });
    expect(told('http.server.request.duration')).toMatchObject({ kind: 'histogram', unit: 's', temporality: 1, points: [{ count: 1 }] });
    expect(told('process.memory.usage')?.points[0]?.value).toBeGreaterThan(1_000_000);
  });

  it('is log lines from info up, in their trace', () => {
    const [work] = collector.spans.filter(({ name }) => name === 'do work');
    expect(collector.logs).toEqual([
      {
        service: 'a-service',
        severity: 'INFO',
        body: 'done',
        trace_id: work?.trace_id,
        span_id: work?.span_id,
        attributes: { code: 'not_found', status: 404, 'error.type': 'TypeError' },
      },
    ]);
  });

  it('says of the process what it is, and nothing of its machine', () => {
    expect(Object.keys(collector.spans[0]?.resource ?? {}).sort()).toEqual([
      'deployment.environment',
      'service.instance.id',
      'service.name',
      'service.version',
      'telemetry.sdk.language',
      'telemetry.sdk.name',
      'telemetry.sdk.version',
    ]);
  });
});

describe('a collector that takes nothing', () => {
  it('is told once, and holds up nobody', async () => {
    const { code, lines } = await run('send', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_EXPORTER_OTLP_TIMEOUT: '500' });
    expect(code).toBe(0);
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      ['warn', 'the collector takes no telemetry: it is dropped until it does'],
    ]);
  });

  it('and hangs: the process still ends in time', async () => {
    const hung = createServer(() => undefined);
    await new Promise<void>((resolve) => hung.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(hung.address() as AddressInfo).port}`;
    const { code } = await run('tell', { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
    expect(code).toBe(0);
    hung.closeAllConnections();
    hung.close();
  });
});
