// One trace from the HTTPS request to the audit record: found in Elasticsearch by its id, told by the API and drawn by the command, for the company that it is of.
// Waits for the collector, which is built the first time; on a machine that cannot have one (no Go) there is nothing to test.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { locateTelemetry } from '@biz/local';
import { until } from '@biz/testing';
import { Client } from '@elastic/elasticsearch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, as, auditHistory, unique } from './client.ts';
import { currentRun, localDir, pidOf } from './fleet.ts';

/** Fetching and compiling on a machine that does other things, too. */
const BUILD_MS = 8 * 60_000;
const ARRIVAL_MS = 180_000;
/** Of an Elasticsearch that was killed, on a machine that does other things, too. */
const RECOVERY_MS = 240_000;

const { off } = await locateTelemetry();
let elasticsearch: Client;

interface Span {
  trace_id: string;
  span_id: string;
  parent_span_id?: string;
  name: string;
  kind: string;
  '@timestamp': string;
  links: { trace_id: string; span_id: string }[];
  attributes?: Record<string, unknown>;
  resource: { attributes: { 'service.name': string } };
}

describe.skipIf(off !== undefined)('a trace', () => {
  let trace: string;
  let costCenter: string;

  beforeAll(async () => {
    const started = Date.now();
    let told = started;
    await until(
      () => {
        if (Date.now() - told > 30_000) {
          told = Date.now();
          console.log(`waiting for the collector, ${Math.round((told - started) / 1_000)} s`);
        }
        return currentRun().otlp_endpoint !== null && currentRun().elasticsearch_url !== null;
      },
      { what: 'telemetry to be on', timeoutMs: BUILD_MS, intervalMs: 500 },
    );
    elasticsearch = new Client({ node: String(currentRun().elasticsearch_url) });
    const made = await as('manager-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja Centro' });
    expect(made.status, made.text).toBe(201);
    trace = String(made.headers.get('x-trace-id'));
    costCenter = made.body.id;
    const [record] = await auditHistory('cost_center', costCenter, 1);
    expect(record.trace_id).toBe(trace);
  }, BUILD_MS + 60_000);
  afterAll(() => elasticsearch?.close());

  it('goes through every process to the record, in the order of the work', async () => {
    // each process sends its own by its own clock, a batch after the messages in it, and batches may overtake each other: the last thing seen says what is missing
    await until(async () => expectWay(await spansOf(trace)), {
      what: 'the way from the request to the record',
      timeoutMs: ARRIVAL_MS,
      intervalMs: 500,
    });
  });

  async function expectWay(spans: readonly Span[]): Promise<true> {
    const root = one(spans, 'gateway', 'Server');
    expect(root.attributes).toMatchObject({ 'biz.company_id': companyOf('manager-a') });
    const rpc = one(spans, 'cost-center', 'Server');
    const publish = one(spans, 'cost-center', 'Producer');
    const process = one(spans, 'audit', 'Consumer');
    expect(lineage(rpc, spans)).toContain(root.span_id);
    expect(lineage(publish, spans)).toContain(root.span_id);
    expect(lineage(process, spans)).toContain(publish.span_id);
    // the append is part of the request
    expect(
      spans.some(
        (span) =>
          span.kind === 'Client' && lineage(span, spans).includes(rpc.span_id) && span.attributes?.['db.namespace'] === 'cost_center',
      ),
    ).toBe(true);
    expect([root, rpc, publish, process].map(startOf)).toEqual([root, rpc, publish, process].map(startOf).toSorted((a, b) => a - b));

    // what was written for the batch that the message was in
    const batch = process.links.find((link) => link.trace_id !== trace);
    const around = batch === undefined ? spans : await spansOf(batch.trace_id);
    const from = batch?.span_id ?? process.span_id;
    expect(
      around.some(
        (span) => span.kind === 'Client' && span.resource.attributes['service.name'] === 'audit' && lineage(span, around).includes(from),
      ),
    ).toBe(true);
    return true;
  }

  it('is told by the API to auditors and administrators of its company, and to nobody else', async () => {
    const found = await whole('auditor-a');
    expect(found.services.slice(0, 2)).toEqual(['gateway', 'cost-center']);
    expect(found.services).toContain('audit');
    expect(found.spans[0]).toMatchObject({ service: 'gateway', kind: 'server', depth: 0 });
    expect((await look('admin-a')).status).toBe(200);
    expect((await look('platform')).body.spans.length).toBeGreaterThanOrEqual(found.spans.length);
    expect((await look('user-a')).status).toBe(403);

    const unknown = 'f'.repeat(31) + Math.floor(Math.random() * 10);
    const [foreign, none] = [await look('admin-b'), await look('admin-b', unknown)];
    const told = ({ status, body: { trace_id: _, ...problem } }: Answer) => ({ status, problem });
    expect(told(foreign)).toEqual(told(none));
    expect(foreign.status).toBe(404);
    expect((await look('admin-b', 'no-trace')).status).toBe(400);
  });

  it('of a request of company B that claims to be part of it stays company B’s', async () => {
    const asked = await as('admin-b').get('/v1/cost-centers', { traceparent: `00-${trace}-00f067aa0ba902b7-01` });
    expect(asked.headers.get('x-trace-id')).toBe(trace);
    // it is looked for among what others are shown once it is there, down to the database
    const foreign = await until(
      async () => {
        const spans = await spansOf(trace);
        const root = spans.find((span) => span.kind === 'Server' && span.attributes?.['biz.company_id'] === companyOf('admin-b'));
        const below = spans.filter((span) => root !== undefined && lineage(span, spans).includes(root.span_id));
        return below.some((span) => span.attributes?.['db.namespace'] === 'cost_center') && below.map(({ span_id }) => span_id);
      },
      { what: 'the request of company B in the trace', timeoutMs: ARRIVAL_MS, intervalMs: 500 },
    );
    const shown = (await whole('auditor-a')).spans.map((span: { span_id: string }) => span.span_id);
    expect(shown.filter((id: string) => foreign.includes(id))).toEqual([]);
    const { body, status } = await look('admin-b');
    expect(status).toBe(200);
    expect(body.spans.map((span: { span_id: string }) => span.span_id)).toEqual(expect.arrayContaining(foreign));
    expect(JSON.stringify(body)).not.toContain(companyOf('manager-a'));
  });

  it('is drawn by npm run trace, or told as JSON', async () => {
    await whole('platform');
    const drawn = await command(trace);
    expect(drawn).toMatch(/^gateway +POST \/v1\/cost-centers +\+0\.00 ms +█+ /m);
    expect(drawn).toMatch(/^cost-center /m);
    expect(drawn).toMatch(/^audit /m);
    expect(drawn).not.toContain('\u001b');
    expect(JSON.parse(await command(trace, '--json'))).toMatchObject({ trace_id: trace });
    await expect(command(`${'0'.repeat(31)}1`)).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('is not there') });
    await expect(command('nonsense')).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('400') });
  });

  it('goes on after the collector and Elasticsearch were killed', { timeout: 2 * RECOVERY_MS + ARRIVAL_MS }, async () => {
    for (const name of ['collector', 'elasticsearch']) {
      const pid = pidOf(name);
      process.kill(pid, 'SIGKILL');
      await until(() => pidOf(name) !== pid, { what: `another ${name}`, timeoutMs: RECOVERY_MS });
    }
    await until(async () => (await as('auditor-a').get(`/v1/traces/${trace}`)).status === 200, {
      what: 'the trace from before',
      timeoutMs: RECOVERY_MS,
      intervalMs: 1_000,
    });
    // until one goes all the way: what is sent while the collector is away may be dropped
    const asked: string[] = [];
    await until(
      async () => {
        asked.push(String((await as('manager-a').get('/v1/cost-centers?page_size=1')).headers.get('x-trace-id')));
        const found = await Promise.all(asked.slice(-20).map(async (id) => (await as('auditor-a').get(`/v1/traces/${id}`)).status));
        return found.includes(200);
      },
      { what: 'a trace from after', timeoutMs: RECOVERY_MS, intervalMs: 1_000 },
    );
  });

  /** What that user is told, by an Elasticsearch that is not too slow at the moment. */
  async function look(who: string, id = trace): Promise<Answer> {
    const answered = async () => {
      const answer = await as(who).get(`/v1/traces/${id}`);
      return answer.status !== 503 && answer;
    };
    return until(answered, { what: `an answer about the trace ${id}`, timeoutMs: ARRIVAL_MS, intervalMs: 500 });
  }

  /** As that user is told of it, once it has reached the audit's consumer. */
  async function whole(who: string): Promise<Answer['body']> {
    return until(
      async () => {
        const { status, body } = await as(who).get(`/v1/traces/${trace}`);
        return status === 200 && body.complete && body.services.includes('audit') ? body : undefined;
      },
      { what: `the whole trace ${trace}`, timeoutMs: ARRIVAL_MS, intervalMs: 500 },
    );
  }
});

async function command(...args: string[]): Promise<string> {
  const env = { ...process.env, BIZ_LOCAL_DIR: localDir() };
  const { stdout } = await promisify(execFile)(process.execPath, ['infra/local/bootstrap.mjs', 'trace', ...args], { env });
  return stdout;
}

async function spansOf(trace_id: string): Promise<Span[]> {
  const { hits } = await elasticsearch.search<Span>({
    index: 'biz-traces-*',
    size: 1_000,
    query: { bool: { filter: [{ term: { trace_id } }, { exists: { field: 'duration' } }] } },
  });
  return hits.hits.flatMap(({ _source }) => (_source ? [_source] : []));
}

function serviceOf(spans: readonly Span[], service: string, kind: string): Span | undefined {
  return spans.find((span) => span.resource.attributes['service.name'] === service && span.kind === kind);
}

function one(spans: readonly Span[], service: string, kind: string): Span {
  const found = serviceOf(spans, service, kind);
  if (found === undefined) throw new Error(`no ${kind} span of ${service}`);
  return found;
}

/** Ids of the span and of all above it. */
function lineage(span: Span, spans: readonly Span[]): string[] {
  const parent = spans.find(({ span_id }) => span_id === span.parent_span_id);
  return [span.span_id, ...(parent ? lineage(parent, spans) : [])];
}

/** Milliseconds. */
function startOf(span: Span): number {
  return Math.floor(Number(span['@timestamp']));
}

function companyOf(username: string): string {
  return currentRun().users.find((user) => user.username === username)?.companies[0] ?? '';
}
