import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { installTemplates } from '@biz/otel';
import { engines, uniqueName } from '@biz/testing';
import { Client } from '@elastic/elasticsearch';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AuditHarness, auditHarness, contextOf } from './testing/harness.ts';
import type { SpanDocument } from './traces/span.ts';

interface Trace {
  trace_id: string;
  started_at: string;
  duration_ms: number;
  services: string[];
  spans: {
    trace_id: string;
    span_id: string;
    depth?: number;
    service: string;
    name: string;
    kind: string;
    status: string;
    error_type?: string;
    attributes: string;
    links?: object[];
  }[];
  complete?: boolean;
}

const client = new Client({ node: engines().elasticsearchUrl });
const index = `biz-traces-${uniqueName('t').toLowerCase()}`;
const id = (bytes: number) => randomBytes(bytes).toString('hex');
const auditorA = contextOf(['auditor'], ['company-a']);
const auditorB = contextOf(['auditor'], ['company-b']);
const platform = contextOf(['auditor', 'dpo'], ['*']);
const begun = Date.now();
let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;

beforeAll(async () => {
  await installTemplates(client);
  audit = await auditHarness();
  const settings = { ELASTICSEARCH_URL: engines().elasticsearchUrl, TRACES_INDEX: index, TRACE_SPANS: '20' };
  call = audit.client((await audit.start({}, settings)).address);
});
afterAll(async () => {
  await audit[Symbol.asyncDispose]();
  await client.close();
});

/** A request of company A: gateway, service, the message on its way, and the batch of the relay in a trace of its own. */
async function request(company = 'company-a'): Promise<string> {
  const [trace, batch] = [id(16), id(16)];
  const [gateway, rpc, publish, relay] = [id(8), id(8), id(8), id(8)];
  await store([
    span(trace, gateway, {
      kind: 'Server',
      name: 'POST /v1/cost-centers',
      service: 'gateway',
      at: 0,
      ms: 40,
      attributes: { 'biz.company_id': company },
    }),
    span(trace, rpc, {
      parent: gateway,
      kind: 'Server',
      name: 'CostCenterService/Create',
      service: 'cost-center',
      at: 2,
      ms: 30,
      error: 'conflict',
    }),
    span(trace, publish, {
      parent: rpc,
      kind: 'Producer',
      name: 'publish audit',
      service: 'cost-center',
      at: 50,
      ms: 5,
      links: [[batch, relay]],
    }),
    span(batch, relay, {
      kind: 'Internal',
      name: 'relay',
      service: 'cost-center',
      at: 49,
      ms: 8,
      links: [
        [trace, publish],
        [id(16), id(8)],
      ],
      attributes: { 'messaging.batch.message_count': 2 },
    }),
    span(batch, id(8), { parent: relay, kind: 'Client', name: 'update events', service: 'cost-center', at: 55, ms: 1 }),
    { ...span(trace, rpc, { service: 'cost-center', at: 3 }), duration: undefined, event_name: 'exception' },
  ]);
  return trace;
}

test('a trace with the batch that its message was published in, in the order of the work', async () => {
  const trace = await request();
  const found = await call<Trace>('GetTrace', { trace_id: trace }, auditorA);
  expect(found).toMatchObject({ trace_id: trace, duration_ms: 57, services: ['gateway', 'cost-center'], complete: true });
  expect(found.started_at).toBe(new Date(begun).toISOString().replace('Z', '000Z'));
  expect(found.spans.map(({ name, depth = 0 }) => `${'.'.repeat(depth)}${name}`)).toEqual([
    'POST /v1/cost-centers',
    '.CostCenterService/Create',
    '..publish audit',
    '...relay',
    '....update events',
  ]);
  expect(found.spans[1]).toMatchObject({ status: 'error', error_type: 'conflict', kind: 'server' });
  expect(JSON.parse(found.spans[0]?.attributes ?? '')).toEqual({ 'biz.company_id': 'company-a' });
  // neither how many others there were, nor who
  expect(found.spans[3]?.attributes).toBe('{}');
  expect(found.spans[3]?.links).toHaveLength(1);
  const uuid = trace.toUpperCase().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  expect(await call<Trace>('GetTrace', { trace_id: uuid }, auditorA)).toEqual(found);
  expect((await call<Trace>('GetTrace', { trace_id: trace }, platform)).spans[3]?.attributes).toContain('message_count');
});

test("another company's trace answers as one that does not exist", async () => {
  const trace = await request();
  const refusal = (trace_id: string) => call('GetTrace', { trace_id }, auditorB).catch((error: unknown) => error);
  const [foreign, unknown] = [await refusal(trace), await refusal(id(16))];
  expect(foreign).toMatchObject({ code: 'not_found', message: 'There is no such trace.', withheld: 'wrong_company' });
  expect(unknown).toMatchObject({ code: 'not_found', message: 'There is no such trace.', withheld: undefined });
});

test('with more spans than one answer has, it says that it is not complete', async () => {
  const [trace, root] = [id(16), id(8)];
  const below = Array.from({ length: 30 }, (_, n) => span(trace, id(8), { parent: root, service: 'x', at: n + 1 }));
  await store([span(trace, root, { service: 'gateway', at: 0, attributes: { 'biz.company_id': 'company-a' } }), ...below]);
  const found = await call<Trace>('GetTrace', { trace_id: trace }, auditorA);
  expect([found.spans.length, found.complete ?? false]).toEqual([20, false]);
});

test('what is no trace id is refused before anything is looked for', async () => {
  for (const trace_id of ['abc', '*', 'g'.repeat(32)]) {
    await expect(call('GetTrace', { trace_id }, auditorA)).rejects.toMatchObject({ code: 'invalid_request' });
  }
});

test('reading a trace is no reading of records', async () => {
  const trace = await request();
  const before = await audit.database.db.collection('events').countDocuments();
  await call('GetTrace', { trace_id: trace }, auditorA);
  expect(await audit.database.db.collection('events').countDocuments()).toBe(before);
});

test('where no store is named it says what to set', async () => {
  const without = audit.client((await audit.start()).address);
  await expect(without('GetTrace', { trace_id: id(16) }, auditorA)).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('ELASTICSEARCH_URL'),
  });
});

test('a store that is away, or hangs, is unavailable in time, and all else goes on', async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const hanging = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  for (const url of ['http://127.0.0.1:9', hanging]) {
    const ask = audit.client((await audit.start({}, { ELASTICSEARCH_URL: url, TRACE_TIMEOUT_MS: '200' })).address);
    await expect(ask('GetTrace', { trace_id: id(16) }, auditorA)).rejects.toMatchObject({
      code: 'unavailable',
      message: 'The trace store is away; try again in a moment.',
    });
    expect(await ask('ListRecords', { event_type: 'card.created' }, auditorA)).toEqual({ next_page_token: '' });
  }
  silent.closeAllConnections();
  silent.close();
});

interface Given {
  service: string;
  at: number;
  ms?: number;
  parent?: string;
  kind?: string;
  name?: string;
  error?: string;
  attributes?: Record<string, unknown>;
  links?: [string, string][];
}

function span(
  trace_id: string,
  span_id: string,
  { service, at, ms = 1, parent, error, attributes, links = [], ...more }: Given,
): SpanDocument {
  return {
    '@timestamp': `${begun + at}.0`,
    ...{ trace_id, span_id, duration: ms * 1e6, kind: 'Internal', name: 'x', status: { code: error ? 'Error' : 'Unset' }, ...more },
    ...(parent && { parent_span_id: parent }),
    attributes: { ...attributes, ...(error && { 'error.type': error }) },
    links: links.map(([trace, span]) => ({ trace_id: trace, span_id: span })),
    resource: { attributes: { 'service.name': service } },
  };
}

async function store(documents: object[]): Promise<void> {
  const { errors: failed, items } = await client.bulk({
    index,
    refresh: true,
    operations: documents.flatMap((one) => [{ create: {} }, one]),
  });
  expect(failed, JSON.stringify(items)).toBe(false);
}
