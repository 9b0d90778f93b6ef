import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { locateTelemetry } from './telemetry.ts';

afterEach(() => void vi.unstubAllEnvs());

test('an OTLP endpoint of somebody else is used, and nothing is started', async () => {
  const telemetry = await locateTelemetry({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' });
  expect(telemetry).toMatchObject({
    otlpEndpoint: 'http://collector:4318',
    elasticsearchUrl: undefined,
    off: undefined,
    inBackground: false,
  });
  expect(telemetry.running()).toEqual({ otlpEndpoint: 'http://collector:4318', elasticsearchUrl: null });
});

test('what stands behind that endpoint is read where the environment says', async () => {
  const telemetry = await locateTelemetry({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', ELASTICSEARCH_URL: 'http://es:9200' });
  expect(telemetry.running()).toEqual({ otlpEndpoint: 'http://collector:4318', elasticsearchUrl: 'http://es:9200' });
});

test('switched off, processes get no endpoint', async () => {
  const telemetry = await locateTelemetry({ OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' });
  expect(telemetry).toMatchObject({ otlpEndpoint: undefined, off: 'OTEL_SDK_DISABLED is set', inBackground: false });
});

test('without go and without a collector built before, it is off, and says how to get it', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'biz-telemetry-'));
  vi.stubEnv('PATH', empty);
  const telemetry = await locateTelemetry({ BIZ_CACHE_DIR: empty, ELASTICSEARCH_URL: 'http://es:9200' });
  await rm(empty, { recursive: true });
  expect(telemetry.otlpEndpoint).toBeUndefined();
  expect(telemetry.inBackground).toBe(false);
  expect(telemetry.off).toMatch(/^go is missing, .*https:\/\/go\.dev\/dl/);
  expect(telemetry.running()).toEqual({ otlpEndpoint: null, elasticsearchUrl: 'http://es:9200' });
});

test('with an Elasticsearch of somebody else only the collector is started, and nothing is said to be there before it is', async () => {
  const telemetry = await locateTelemetry({ ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: '', ELASTICSEARCH_URL: 'http://es:9200' });
  if (telemetry.off !== undefined) return expect(telemetry.off).toMatch(/Go/); // a machine without it
  expect(telemetry.otlpEndpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(telemetry.running()).toEqual({ otlpEndpoint: null, elasticsearchUrl: 'http://es:9200' });
});
