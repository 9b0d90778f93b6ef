import { join } from 'node:path';
import { installTemplates } from '@biz/otel';
import { catalogue } from '@biz/telemetry';
import { engines, uniqueName } from '@biz/testing';
import { Client } from '@elastic/elasticsearch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { panelObjects, type VegaLite } from './panels.ts';
import { searches } from './searches.ts';
import { views } from './views.ts';

const client = new Client({ node: engines().elasticsearchUrl });
const run = uniqueName('kibana').toLowerCase().replaceAll('-', '_');
/** The index that stands for a data view's pattern here. */
const indexes: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(views).map(({ title }) => [title, title.startsWith('biz-') ? title.replace('*', run) : title.replace('*', `-${run}`)]),
);
const resource = { attributes: { 'service.name': 'gateway' } };

beforeAll(async () => {
  await installTemplates(client);
  await makeSecurityIndex(indexes[views.security.title] ?? '');
  for (const [view, documents] of Object.entries(await written())) {
    const index = indexes[view] ?? '';
    for (const { document, templates } of documents) {
      const action = { create: { _index: index, ...(templates && { dynamic_templates: templates }) } };
      const { items } = await client.bulk({ refresh: true, operations: [action, document] });
      expect(items[0]?.create?.error, view).toBeUndefined();
    }
  }
});

afterAll(async () => {
  for (const index of Object.values(indexes)) {
    const found = await client.indices.get({
      index,
      expand_wildcards: ['open', 'hidden'],
      ignore_unavailable: true,
      allow_no_indices: true,
    });
    for (const name of Object.keys(found)) await client.indices.delete({ index: name }).catch(() => undefined);
  }
  await client.close();
});

describe.each(searches.map((search) => ({ ...search, label: search.title })))('$label', ({ view, columns, query }) => {
  test('shows and asks for fields that there are', async () => {
    const asked = [...query.matchAll(/([\w.]+) :/g)].map(([, field = '']) => field);
    const names = [...columns, ...asked, view.time];
    const { fields } = await client.fieldCaps({ index: indexes[view.title] ?? '', fields: names });
    expect(names.filter((name) => fields[name] === undefined)).toEqual([]);
    for (const name of asked) expect(Object.values(fields[name] ?? {})[0]?.searchable, name).toBe(true);
  });
});

describe.each(panelObjects.map(({ id, attributes }) => ({ id, attributes })))('$id', ({ attributes }) => {
  const { params } = JSON.parse(String(attributes.visState)) as { params: { spec: string } };
  const spec = JSON.parse(params.spec) as VegaLite;

  test('asks Elasticsearch what it can answer, of fields that there are, and has points to draw', async () => {
    const { index, body } = spec.data.url;
    const { aggs } = JSON.parse(JSON.stringify(body).replace('{"%autointerval%":true}', '"1m"')) as typeof body;
    const answer = await client.search({ index: indexes[index] ?? '', size: 0, aggs });
    const points = spec.data.format.property
      .split('.')
      .reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], answer) as Point[];
    expect(points.length).toBeGreaterThan(0);
    const encoding = spec.encoding as Record<string, { field: string }>;
    for (const point of points) {
      expect(point.key.time).toBeTypeOf('number');
      if (encoding.color) expect(point.key.series).toBeDefined();
      expect(measured(spec, point)).toBeGreaterThan(0);
    }
  });
});

/** By the security service itself, with its mapping, which takes no field that it does not name. */
async function makeSecurityIndex(index: string): Promise<void> {
  const file = join(import.meta.dirname, '..', '..', '..', 'services', 'security', 'src', 'storage', 'elasticsearch.ts');
  const { openElasticsearchStorage } = (await import(file)) as {
    openElasticsearchStorage(options: { url: string; index: string }): Promise<AsyncDisposable>;
  };
  await using _ = await openElasticsearchStorage({ url: engines().elasticsearchUrl, index });
}

/** What the chart's own expression makes of a point. */
function measured(spec: VegaLite, point: Point): unknown {
  const [{ calculate }] = spec.transform as [{ calculate: string }];
  return new Function('datum', `return ${calculate}`)(point);
}

/** Documents as the collector's exporter writes them (infra/otel/README.md): every metric of the catalogue with its labels, spans, a log line; an event of security. */
async function written(): Promise<Record<string, { document: object; templates?: Record<string, string> }[]>> {
  const now = { '@timestamp': new Date().toISOString(), resource };
  const span = { ...now, trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16), parent_span_id: 'c'.repeat(16), duration: 5_000_000 };
  const change = { 'biz.event_type': 'TEAM_CREATED', 'biz.entity_type': 'team', 'biz.entity_id': 'e', 'biz.ownership_id': 'o' };
  return {
    [views.traces.title]: [
      {
        document: {
          ...span,
          name: 'POST /v1/teams',
          kind: 'Server',
          status: { code: 'Error' },
          attributes: { 'http.route': '/v1/teams', 'error.type': 'timeout' },
        },
      },
      { document: { ...span, name: 'send audit', kind: 'Producer', status: { code: 'Unset' }, attributes: change } },
    ],
    [views.logs.title]: [
      {
        document: {
          ...now,
          trace_id: span.trace_id,
          severity_text: 'WARN',
          severity_number: 13,
          body: { text: 'refused' },
          attributes: { code: 'timeout' },
        },
      },
    ],
    [views.metrics.title]: Object.entries(catalogue).map(([name, { kind, unit, labels }]) => ({
      document: {
        ...now,
        unit,
        attributes: Object.fromEntries(labels.map((label) => [label, label.endsWith('status_code') ? 500 : 'some'])),
        metrics: { [name]: kind === 'histogram' ? { sum: 2, value_count: 1 } : 1 },
      },
      templates: { [`metrics.${name}`]: { histogram: 'summary', counter: 'counter_long', gauge: 'gauge_double' }[kind] },
    })),
    [views.security.title]: [
      {
        document: {
          ...{
            occurred_at: new Date().toISOString(),
            event_type: 'LOGIN_FAILED',
            severity: 'warning',
            success: false,
            action: 'login',
            resource: 'session',
          },
          ...{ company_id: 'c', user_id: 'u', trace_id: span.trace_id, count: 1 },
        },
      },
    ],
  };
}

interface Point {
  key: { time: number; series?: unknown };
  doc_count: number;
  [aggregation: string]: unknown;
}
