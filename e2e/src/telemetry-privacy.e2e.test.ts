// Personal data is in no span, metric or log line: marked data goes through every route, in every place that a request has for it, and what
// reached Elasticsearch and every log file is searched. Without a collector (no Go on the machine) only the log files are.
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { locateTelemetry } from '@biz/local';
import { type FieldModel, loadContract, type MethodModel } from '@biz/protos';
import { until } from '@biz/testing';
import { Client } from '@elastic/elasticsearch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as, auditHistory, send, unique } from './client.ts';
import { newCpf } from './documents.ts';
import { currentRun, localDir } from './fleet.ts';

/** Fetching and compiling the collector, on a machine that does other things, too. */
const BUILD_MS = 8 * 60_000;
const ARRIVAL_MS = 180_000;

const mark = `zu${randomUUID().slice(0, 8)}`;
const cpf = newCpf();
const dotted = cpf.replace(/^(...)(...)(...)(..)$/, '$1.$2.$3-$4');
const person = { name: `Zuleica ${mark}`, email: `${mark}@example.com`, document: cpf, phone: '+55 11 98877-6655' };
/** In TEST-NET-2 (RFC 5737): nobody's address. */
const address = `198.51.100.${1 + Math.floor(Math.random() * 250)}`;
const token = `eyJhbGciOiJSUzI1NiJ9.${Buffer.from(JSON.stringify({ sub: mark, cpf })).toString('base64url')}.c2ln`;
/** Looked for in lower case. */
const needles = [mark, cpf, dotted, address, token.toLowerCase(), person.phone].flatMap((text) => [text, encodeURIComponent(text)]);

const { off } = await locateTelemetry();
const started = new Date(Date.now() - 1_000);

/** What a client may say of itself beside the body. */
const headers = {
  'user-agent': `Browser of ${person.name}`,
  'x-forwarded-for': address,
  'x-real-ip': address,
  forwarded: `for=${address}`,
  referer: `https://example.com/?cpf=${cpf}&name=${mark}`,
  cookie: `who=${mark}; cpf=${cpf}`,
  'accept-language': mark,
  tracestate: `who=${mark}`,
  baggage: `cpf=${cpf},name=${mark}`,
  'idempotency-key': `${mark}-${cpf}`,
  'x-request-id': `${mark}-${cpf}`,
  'if-match': `"${mark}"`,
  'last-event-id': mark,
};

/** A value for a field: of its form where the form says whose data it is, else the mark. */
function exampleOf(field: FieldModel): unknown {
  const one = (): unknown => {
    if (field.message) return Object.fromEntries(field.message.fields.slice(0, 20).map((inner) => [inner.name, person.name]));
    if (field.type !== 'string') return field.type === 'bool' ? true : 1;
    if (/id$/.test(field.name)) return randomUUID();
    return { email: person.email, to: person.email, document: cpf, phone: person.phone }[field.name] ?? person.name;
  };
  return field.repeated ? [one()] : field.map ? { [mark]: one() } : one();
}

function pathOf(method: MethodModel, param: () => string): string {
  return (method.http?.path ?? '').replaceAll(/\{[^}]*\}/g, () => encodeURIComponent(param()));
}

/** Every way to put somebody's data into a request of one route. */
function requestsOf(method: MethodModel): { path: string; raw?: string; more: Record<string, string> }[] {
  const full = JSON.stringify(Object.fromEntries(method.request.fields.map((field) => [field.name, exampleOf(field)])));
  const query = `?q=${mark}&email=${encodeURIComponent(person.email)}&document=${cpf}&name=${encodeURIComponent(person.name)}`;
  const filters = method.request.fields.map((field) => `${field.name}=${encodeURIComponent(String(exampleOf(field)))}`).join('&');
  const hasBody = method.http?.verb !== 'get';
  const requests = [
    { path: pathOf(method, () => person.email), ...(hasBody && { raw: full }), more: {} },
    { path: pathOf(method, randomUUID) + query, ...(hasBody && { raw: `{"${person.email}": "${cpf}"}` }), more: {} },
    { path: pathOf(method, randomUUID), ...(hasBody && { raw: `${person.name} is not JSON, ${dotted}` }), more: { 'x-company-id': mark } },
    { path: pathOf(method, () => cpf), more: { authorization: `Bearer ${token}` } },
    { path: pathOf(method, () => mark), more: { authorization: `Basic ${mark}` } },
  ];
  return hasBody ? requests : [...requests, { path: `${pathOf(method, randomUUID)}?${filters}`, more: {} }];
}

let elasticsearch: Client | undefined;
/** Of a request that came after all others, and of its record; and when all was sent. */
let last: string;
let ended: Date;

beforeAll(async () => {
  if (off === undefined) {
    const isOn = () => currentRun().otlp_endpoint !== null && currentRun().elasticsearch_url !== null;
    await until(isOn, { what: 'telemetry to be on', timeoutMs: BUILD_MS, intervalMs: 500 });
    elasticsearch = new Client({ node: String(currentRun().elasticsearch_url) });
  }
  await everythingMarked();
  const made = await as('manager-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja Centro' });
  last = String(made.headers.get('x-trace-id'));
  await auditHistory('cost_center', made.body.id, 1);
  ended = new Date();
}, BUILD_MS + 600_000);
afterAll(() => elasticsearch?.close());

/** Marked data through every route, and a contractor and a user who are really kept. */
async function everythingMarked(): Promise<void> {
  const methods = loadContract()
    .services.flatMap((service) => service.methods)
    .filter((method) => method.http);
  const requests = methods.flatMap((method) => requestsOf(method).map((request) => ({ verb: method.http?.verb ?? 'get', ...request })));
  const tokens = await Promise.all(['admin-a', 'manager-a', 'dpo-a', 'user-none'].map((name) => as(name).token()));
  let sent = 0;
  const worker = async () => {
    for (let request = requests[sent++]; request; request = requests[sent++]) {
      const authorization = `Bearer ${tokens[sent % tokens.length]}`;
      const { verb, path, raw, more } = request;
      const answer = await send(verb.toUpperCase(), path, {
        headers: { ...headers, authorization, ...more },
        ...(raw !== undefined && { raw }),
        headOnly: true, // streams of events have no end
      });
      // Elasticsearch, which takes the spans of all this at the same time, may be too slow to be asked
      if (answer.status !== 503 || !path.startsWith('/v1/traces/')) expect(answer.status, `${verb} ${path}`).toBeLessThan(500);
    }
  };
  await Promise.all(Array.from({ length: 6 }, worker));
  await send('GET', `/v1/${mark}/${cpf}?email=${encodeURIComponent(person.email)}`, { headers });

  const manager = as('manager-a');
  const created = await manager.post('/v1/client-contractors', person, { 'user-agent': headers['user-agent'] });
  expect(created.status, created.text).toBe(201);
  await manager.patch(`/v1/client-contractors/${created.body.id}`, { name: `${person.name} Prado` }, 1);
  expect((await manager.post('/v1/client-contractors', person)).status).toBe(409); // the database names the key that is taken
  await manager.get(`/v1/client-contractors?email=${encodeURIComponent(person.email)}`);
  const user = { username: mark, email: person.email, name: person.name, document: cpf };
  expect([201, 400]).toContain((await as('admin-a').post('/v1/users', user)).status);
  await auditHistory('client_contractor', created.body.id, 2);
}

const found = (text: string) => needles.filter((needle) => text.toLowerCase().includes(needle.toLowerCase()));

describe('marked personal data', () => {
  it.skipIf(off !== undefined)('is in nothing that reached Elasticsearch', { timeout: 3 * ARRIVAL_MS }, async () => {
    const client = elasticsearch as Client;
    const services = ['gateway', 'cost-center', 'audit'];
    await until(
      async () => {
        const { hits } = await client.search({ index: 'biz-traces-*', size: 100, query: { term: { trace_id: last } } });
        const seen = JSON.stringify(hits.hits);
        return services.every((service) => seen.includes(`"${service}"`));
      },
      { what: 'the spans of the last request', timeoutMs: ARRIVAL_MS, intervalMs: 500 },
    );
    // metrics leave every few seconds: those of these requests are there when later ones are
    const later = { range: { '@timestamp': { gte: ended.toISOString() } } };
    await until(async () => (await client.count({ index: 'biz-metrics-*', query: later })).count > 20, {
      what: 'metrics of after the last request',
      timeoutMs: ARRIVAL_MS,
      intervalMs: 500,
    });
    const leaks: string[] = [];
    const counted: Record<string, number> = {};
    let control = false;
    for (const index of ['biz-traces-*', 'biz-logs-*', 'biz-metrics-*']) {
      const query = { range: { '@timestamp': { gte: started.toISOString() } } };
      for await (const { documents } of client.helpers.scrollSearch({ index, size: 2_000, query })) {
        counted[index] = (counted[index] ?? 0) + documents.length;
        for (const document of documents) {
          const text = JSON.stringify(document);
          control ||= text.includes(last);
          if (found(text).length) leaks.push(`${index}: ${found(text)} in ${text.slice(0, 500)}`);
        }
      }
    }
    expect(leaks.slice(0, 10)).toEqual([]);
    // it was searched where everything else of these requests is
    expect(control).toBe(true);
    expect(counted['biz-traces-*']).toBeGreaterThan(500);
    expect(counted['biz-logs-*']).toBeGreaterThan(500);
    expect(counted['biz-metrics-*']).toBeGreaterThan(20);
  });

  it('is in no log file', () => {
    const logs = readdirSync(`${localDir()}/logs`).map((file) => ({ file, text: readFileSync(`${localDir()}/logs/${file}`, 'utf8') }));
    expect(logs.length).toBeGreaterThan(8);
    expect(logs.some(({ text }) => text.includes(last))).toBe(true);
    const leaks = logs.flatMap(({ file, text }) =>
      text
        .split('\n')
        .filter((line) => found(line).length)
        .map((line) => `${file}: ${found(line)} in ${line.slice(0, 500)}`),
    );
    expect(leaks.slice(0, 10)).toEqual([]);
  });
});
