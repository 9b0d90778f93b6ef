import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { otelConfig } from './config.ts';
import { collectorConfig, signals } from './templates.ts';

type Components = Record<string, object>;
interface Collector {
  receivers: Components;
  processors: Components;
  exporters: { elasticsearch: Record<string, string> };
  extensions: Components;
  service: { extensions: string[]; pipelines: Record<string, { receivers: string[]; processors: string[]; exporters: string[] }> };
}

const folder = join(import.meta.dirname, '..');
const text = readFileSync(collectorConfig, 'utf8');
const config = parse(text) as Collector;
const readme = readFileSync(join(folder, 'README.md'), 'utf8');
const builder = readFileSync(join(folder, '..', 'local', 'engines', 'collector', 'builder.yaml'), 'utf8');

test('every pipeline goes from OTLP to Elasticsearch, guarded first, by components that are configured', () => {
  expect(Object.keys(config.service.pipelines).sort()).toEqual([...signals].sort());
  for (const { receivers, processors, exporters } of Object.values(config.service.pipelines)) {
    expect([receivers, exporters, processors[0]]).toEqual([['otlp'], ['elasticsearch'], 'memory_limiter']);
    for (const name of processors) expect(Object.keys(config.processors)).toContain(name);
  }
  expect(config.service.extensions).toEqual(Object.keys(config.extensions));
});

test('the collector that is built has every part that the configuration names', () => {
  for (const kind of ['receivers', 'processors', 'exporters', 'extensions'] as const) {
    for (const name of Object.keys(config[kind])) {
      const part = `${name.replace(/\/.*/, '').replaceAll('_', '')}${kind.replace(/s$/, '')}`;
      expect(builder).toMatch(new RegExp(`/${part} v0\\.120\\.0$`, 'm'));
    }
  }
});

test('each signal has a template for the data stream that the collector writes to, and the searches of the README', () => {
  for (const signal of signals) {
    const index = String(config.exporters.elasticsearch[`${signal}_index`]);
    expect(index).toBe(`biz-${signal}-\${env:TELEMETRY_NAMESPACE:-default}`);
    const template = JSON.parse(readFileSync(join(folder, 'templates', `${signal}.json`), 'utf8'));
    expect(template.index_patterns).toEqual([`biz-${signal}-*`]);
    expect(template.data_stream).toBeDefined();
  }
});

test('every setting of the collector and of the program is in the README', () => {
  const ofCollector = [...text.matchAll(/\$\{env:(\w+)/g)].map(([, name]) => name);
  const ofProgram = Object.keys(otelConfig({ ELASTICSEARCH_URL: 'http://es:9200' }));
  for (const name of new Set([...ofCollector, ...ofProgram])) expect(readme).toContain(`\`${name}\``);
});
