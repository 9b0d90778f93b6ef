import { randomUUID } from 'node:crypto';
import { headerText, type InMessage } from '@biz/bus';
import { type TestSpan, type TestTelemetry, testTelemetry, until } from '@biz/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { IngestParts } from './ingest/ingest.ts';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

let audit: AuditHarness;
beforeAll(async () => {
  audit = await auditHarness();
});
afterAll(() => audit[Symbol.asyncDispose]());

const span_id = 'b7ad6b7169203331';
const newTrace = () => randomUUID().replaceAll('-', '');
const traceparent = (trace_id: string, flags = '01') => `00-${trace_id}-${span_id}-${flags}`;

/** A message as our services publish it: the trace in the envelope and in the header. */
function message(trace_id: string, over: { event_id?: string; header?: string } = {}) {
  const { event_id = randomUUID(), header = traceparent(trace_id) } = over;
  const value = JSON.stringify(envelope({ trace_id, payload: { id: randomUUID() }, metadata: { event_id } }));
  return { value, headers: { event_id, traceparent: header } };
}
const recordsOf = (trace_id: string) => audit.collections.events.find({ trace_id }).toArray();
const recorded = (traces: readonly string[]) =>
  until(async () => (await Promise.all(traces.map(recordsOf))).every(({ length }) => length > 0), {
    what: 'the records',
    timeoutMs: 30_000,
  });

describe('with telemetry on', () => {
  let telemetry: TestTelemetry;
  beforeEach(async () => {
    telemetry = await testTelemetry();
  });
  afterEach(() => telemetry[Symbol.asyncDispose]());
  const named = (name: string) => telemetry.spans().filter((span) => span.name === name);
  const processed = () => named(`process ${audit.topic}`);
  const traceOf = (span: TestSpan | undefined) => span?.spanContext().traceId;
  const idOf = (span: TestSpan | undefined) => span?.spanContext().spanId;
  const points = async (name: string) => (await telemetry.collect()).get(name) ?? [];

  it('each message has a span in its own trace, that of its record; the batch and its steps are one trace, linked both ways', async () => {
    const traces = [newTrace(), newTrace(), newTrace()];
    // published before the consumer is there, so that they come as one batch
    const sender = audit.bus.producer();
    const places = traces.map((trace) => ({ key: null, ...message(trace) }));
    await sender.send(audit.topic, places);
    await using _ = await audit.start();
    await recorded(traces);
    await until(() => processed().length === 3, { what: 'the spans' });
    const [batch] = named('audit ingest') as [TestSpan];
    expect(named('audit ingest')).toHaveLength(1);
    expect(batch.links.map(({ context }) => context.traceId)).toEqual(traces);
    expect(batch.attributes).toMatchObject({
      ...{ 'messaging.system': 'kafka', 'messaging.destination.name': audit.topic, 'messaging.destination.partition.id': '0' },
      'messaging.batch.message_count': 3,
    });
    for (const [n, span] of processed().entries()) {
      const [record] = await recordsOf(traces[n] ?? '');
      expect([traceOf(span), span.parentSpanContext?.spanId]).toEqual([record?.trace_id, span_id]);
      expect(span.links[0]?.context.spanId).toBe(idOf(batch));
      expect(span.attributes['messaging.kafka.offset']).toBe(record?.offset);
    }
    for (const step of ['plan', 'seal', 'insert', 'tree', 'effects', 'advance']) {
      const [span] = named(`audit ${step}`);
      expect([step, traceOf(span), span?.parentSpanContext?.spanId]).toEqual([step, traceOf(batch), idOf(batch)]);
    }
    const begun = ['plan', 'seal', 'insert', 'effects', 'advance'].map((step) => named(`audit ${step}`)[0]?.startTime ?? ([0, 0] as const));
    expect(begun).toEqual([...begun].sort(([a, b], [c, d]) => a - c || b - d));
  });

  it('a message that comes alone has the whole work in its trace', async () => {
    await using _ = await audit.start();
    const trace = newTrace();
    await audit.send([message(trace)]);
    await recorded([trace]);
    await until(() => processed().some((span) => traceOf(span) === trace), { what: 'the span' });
    const own = processed().find((span) => traceOf(span) === trace);
    const batch = named('audit ingest').find((span) => traceOf(span) === trace);
    const insert = named('audit insert').find((span) => traceOf(span) === trace);
    expect([own, batch, insert].map((span) => span?.parentSpanContext?.spanId)).toEqual([span_id, idOf(own), idOf(batch)]);
  });

  it('a batch that failed and came again gives one record, and a span a try in the same trace', async () => {
    const trace = newTrace();
    let failures = 1;
    const ingestParts = (parts: IngestParts): IngestParts => ({
      ...parts,
      store: {
        ...parts.store,
        advance: async (...to) => {
          failures -= 1;
          if (failures >= 0) throw Object.assign(new Error('MongoDB is away'), { code: 'unavailable' });
          return parts.store.advance(...to);
        },
      },
    });
    await using _ = await audit.start({ ingestParts });
    await audit.send([message(trace)]);
    await until(() => processed().filter((span) => traceOf(span) === trace).length === 2, { what: 'two tries', timeoutMs: 30_000 });
    expect(processed().map((span) => [traceOf(span), span.attributes['error.type']])).toEqual([
      [trace, 'unavailable'],
      [trace, undefined],
    ]);
    expect(await recordsOf(trace)).toHaveLength(1);
    const group = { 'messaging.destination.name': audit.topic, 'messaging.consumer.group.name': audit.name };
    expect((await points('messaging.process.duration')).map(({ attributes }) => attributes)).toEqual(
      expect.arrayContaining([{ ...group, 'error.type': 'unavailable' }, group]),
    );
  });

  it('a UUID as trace id, a foreign header or one that nobody records makes a record and no span', async () => {
    await using _ = await audit.start();
    const uuid = randomUUID();
    const traces = [newTrace(), newTrace(), newTrace()];
    await audit.send([
      message(uuid, { header: uuid }),
      message(traces[0] as string, { header: traceparent(traces[0] as string, '00') }),
      message(traces[1] as string, { header: `${'x'.repeat(5_000)}\u0000` }),
      { ...message(traces[2] as string), headers: {} },
    ]);
    await recorded([uuid.replaceAll('-', ''), ...traces]);
    expect(processed()).toEqual([]);
    for (const { links } of named('audit ingest')) expect(links).toEqual([]);
  });

  it('a dead letter keeps its trace: on the dead-letter topic, and when it is replayed', async () => {
    await using service = await audit.start();
    const dead: InMessage[] = [];
    await using _ = audit.bus.consumer({
      ...{ groupId: `${audit.name}-dlq`, topics: [audit.dlq], onFatal: (error) => expect.unreachable(error.message) },
      batch: async ({ messages }) => void dead.push(...messages),
    });
    const trace = newTrace();
    const [place] = await audit.send([{ value: '{', headers: { traceparent: traceparent(trace) } }]);
    await until(() => dead.some((message) => headerText(message, 'traceparent') === traceparent(trace)), { what: 'the dead letter' });
    const call = audit.client(service.address);
    const platform = contextOf(['auditor', 'dpo'], ['*']);
    const { items } = await call<{ items: { id: string; offset: number }[] }>('ListDeadLetters', { page_size: 200 }, platform);
    const { id } = items.find(({ offset }) => offset === place?.offset) ?? {};
    await call(
      'ReplayDeadLetter',
      { id, envelope: JSON.stringify(envelope({ trace_id: trace, payload: { id: randomUUID() } })) },
      platform,
    );
    await recorded([trace]);
    await until(() => processed().filter((span) => traceOf(span) === trace).length === 2, { what: 'both tries in the trace' });
    const [sent] = named(`send ${audit.topic}`).filter((span) => traceOf(span) === trace);
    expect(sent?.parentSpanContext?.spanId).toBe(span_id);
    expect(sent?.links[0]?.context.traceId).toBe(platform.trace_id);
    expect(processed().flatMap((span) => (traceOf(span) === trace ? [span.parentSpanContext?.spanId] : []))).toEqual([span_id, idOf(sent)]);
    // what the audit itself tells of this is on the same topic: the next test would meet it
    const told = () => audit.database.db.collection('events').countDocuments();
    const recordsOfIt = () => audit.collections.events.countDocuments({ producer_service: 'audit_service' });
    await until(async () => (await recordsOfIt()) === (await told()), { what: 'the records of it' });
  });

  it('tells records, dead letters by code, and how far the group is behind', async () => {
    await using _ = await audit.start();
    const trace = newTrace();
    await audit.send([message(trace), { value: '{', headers: { traceparent: traceparent(trace) } }, { value: 'x' }]);
    await recorded([trace]);
    // counted when a batch has ended, later than all else
    await until(async () => (await points('messaging.client.consumed.messages'))[0]?.value === 3, { what: 'all batches' });
    expect(await points('biz.audit.dead_letters')).toMatchObject([{ attributes: { 'biz.dead_letter.code': 'invalid_json' }, value: 2 }]);
    expect((await points('biz.audit.records'))[0]?.value).toBe(1);
    const group = { 'messaging.destination.name': audit.topic, 'messaging.consumer.group.name': audit.name };
    expect(await points('messaging.client.consumed.messages')).toMatchObject([{ attributes: group, value: 3 }]);
    expect(await points('biz.consumer.batch.size')).toMatchObject([{ attributes: group, value: { sum: 3 } }]);
    const lag = await until(async () => (await points('biz.consumer.lag')).find(({ value }) => value === 0), { what: 'no lag' });
    expect(lag.attributes).toEqual({ ...group, 'messaging.destination.partition.id': '0' });
  });
});

it('without the preload the records are the same', async () => {
  await using _ = await audit.start();
  const trace = newTrace();
  await audit.send([message(trace)]);
  await recorded([trace]);
});
