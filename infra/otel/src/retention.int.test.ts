import { engines, uniqueName } from '@biz/testing';
import { Client } from '@elastic/elasticsearch';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { applyRetention } from './retention.ts';
import { installTemplates, signals } from './templates.ts';

const client = new Client({ node: engines().elasticsearchUrl });
const namespace = uniqueName('keep').toLowerCase().replaceAll('-', '_');
const stream = (signal: string) => `biz-${signal}-${namespace}`;
const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();

beforeAll(() => installTemplates(client));

afterAll(async () => {
  for (const signal of signals) await dropStream(stream(signal));
  await client.close();
});

test('templates can be put again, and give the fields that searches rely on', async () => {
  await installTemplates(client);
  await index('traces', {
    '@timestamp': '1795283283334.100',
    trace_id: 'aa',
    duration: 5,
    attributes: { 'http.route': '/v1/x', 'biz.company_id': 'c' },
  });
  await index('logs', {
    '@timestamp': daysAgo(0),
    body: { text: 'the words of a line' },
    resource: { attributes: { 'service.name': 'gateway' } },
  });
  expect(await count('traces', { term: { trace_id: 'aa' } })).toBe(1);
  expect(await count('traces', { term: { 'attributes.http.route': '/v1/x' } })).toBe(1);
  expect(await count('logs', { match: { 'body.text': 'words' } })).toBe(1);
  expect(await count('logs', { term: { 'resource.attributes.service.name': 'gateway' } })).toBe(1);
});

test('an index whose newest document is past its time goes; a younger one and the one that is written to stay', async () => {
  const old = await index('metrics', { '@timestamp': daysAgo(20), metrics: { a: 1 } });
  await rollover('metrics');
  const mixed = await index('metrics', { '@timestamp': daysAgo(20), metrics: { a: 2 } });
  await index('metrics', { '@timestamp': daysAgo(3), metrics: { a: 3 } });
  await rollover('metrics');
  const written = await index('metrics', { '@timestamp': daysAgo(20), metrics: { a: 4 } });
  expect(new Set([old, mixed, written]).size).toBe(3);

  expect(await applyRetention(client, { keepDays: 14, namespace })).toEqual([old]);
  expect(await applyRetention(client, { keepDays: 14, namespace })).toEqual([]);
  expect(await count('metrics', { match_all: {} })).toBe(3);

  expect(await applyRetention(client, { keepDays: 2, namespace })).toEqual([mixed]);
  expect(await count('metrics', { match_all: {} })).toBe(1);
});

test('where nothing was written yet there is nothing to do', async () => {
  expect(await applyRetention(client, { keepDays: 1, namespace: `${namespace}_none` })).toEqual([]);
});

/** Gives the index that it went to. */
async function index(signal: string, document: object): Promise<string> {
  return (await client.index({ index: stream(signal), op_type: 'create', document, refresh: true }))._index;
}

async function count(signal: string, query: object): Promise<number> {
  return (await client.count({ index: stream(signal), query })).count;
}

async function rollover(signal: string): Promise<void> {
  await client.indices.rollover({ alias: stream(signal) });
}

/** All but the index that is written to, which only goes with its data stream: what stays is empty. */
async function dropStream(name: string): Promise<void> {
  await client.indices.rollover({ alias: name }).catch(() => undefined);
  await applyRetention(client, { keepDays: -1, namespace });
}
