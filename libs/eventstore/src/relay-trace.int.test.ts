import { randomUUID } from 'node:crypto';
import { createBus, type InMessage } from '@biz/bus';
import {
  engines,
  type TestDatabase,
  type TestSpan,
  type TestTelemetry,
  testDatabase,
  testTelemetry,
  uniqueName,
  until,
} from '@biz/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createEventStore, createOutbox, createRelay, type EventStore, publishSpans, publishTo, type RelayOptions } from './index.ts';
import { draft, things } from './testing.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const bus = createBus({ brokers: engines().kafkaBrokers, clientId: 'relay-trace', log: silent });
const topic = uniqueName('relay-trace');
const received: InMessage[] = [];
let database: TestDatabase;
let store: EventStore;

beforeAll(async () => {
  await bus.ensureTopics([{ topic, partitions: 1 }]);
  bus.consumer({
    groupId: topic,
    topics: [topic],
    batch: async ({ messages }) => void received.push(...messages),
    onFatal: (error) => {
      throw error;
    },
  });
});
beforeEach(async () => {
  database = await testDatabase('relay-trace');
  store = createEventStore({ db: database.db, entities: things, marks: [] });
  await store.ensureIndexes();
});
afterEach(() => database[Symbol.asyncDispose]());
afterAll(() => bus[Symbol.asyncDispose]());

const span_id = 'b7ad6b7169203331';
const newTrace = () => randomUUID().replaceAll('-', '');

/** An event whose command was part of this trace. */
async function append(trace_id: string, flags = '01'): Promise<string> {
  const meta = { trace_id, traceparent: `00-${trace_id}-${span_id}-${flags}` };
  const id = randomUUID();
  const { event } = await store.execute({ entityType: 'thing', entityId: id, decide: () => draft('created', { id }, meta) });
  return event?._id ?? '';
}

const relay = (over: Partial<RelayOptions> = {}) =>
  createRelay({
    ...{ store, mark: 'published_at', pollMs: 20, leaseMs: 200, maxBackoffMs: 50, ...publishSpans(topic) },
    deliver: publishTo(bus.producer(), topic, { service: 'thing_service', instance: randomUUID() }),
    ...over,
  });

/** The `traceparent` header that each event came with, every time it came. */
const headersOf = (id: string) =>
  received.filter(({ headers }) => String(headers.event_id) === id).map(({ headers }) => String(headers.traceparent));
const arrived = (ids: readonly string[], times = 1) =>
  until(() => ids.every((id) => headersOf(id).length >= times), { what: 'the events on the topic' });

describe('with telemetry on', () => {
  let telemetry: TestTelemetry;
  beforeEach(async () => {
    telemetry = await testTelemetry();
  });
  afterEach(() => telemetry[Symbol.asyncDispose]());
  const named = (name: string) => telemetry.spans().filter((span) => span.name === name);
  const ended = (name: string, count: number) => until(() => named(name).length >= count, { what: `${count} spans ${name}` });
  const parentOf = (span: TestSpan | undefined) => span?.parentSpanContext?.spanId;

  it('each message carries a span of its event’s own trace, below the command’s; the batch is linked both ways', async () => {
    const traces = [newTrace(), newTrace(), newTrace()];
    const ids = await Promise.all(traces.map((trace) => append(trace)));
    await using _ = relay();
    await arrived(ids);
    await ended('relay publish', 1);
    const sent = named(`send ${topic}`);
    expect(sent.map((span) => span.spanContext().traceId).sort()).toEqual([...traces].sort());
    const [batch] = named('relay publish') as [TestSpan];
    for (const [n, id] of ids.entries()) {
      const span = sent.find((one) => one.spanContext().traceId === traces[n]);
      expect(headersOf(id)).toEqual([`00-${traces[n]}-${span?.spanContext().spanId}-01`]);
      expect(parentOf(span)).toBe(span_id);
      expect(span?.links[0]?.context.spanId).toBe(batch.spanContext().spanId);
      expect(span?.attributes).toMatchObject({
        'messaging.destination.name': topic,
        'biz.event_type': 'thing.created',
        'biz.company_id': 'c1',
      });
    }
    expect(batch.links.map(({ context }) => context.traceId).sort()).toEqual([...traces].sort());
    expect(JSON.parse(String(received.at(-1)?.value)).trace_id).toBe(String(received.at(-1)?.headers.traceparent).split('-')[1]);
  });

  it('an event that is alone has the publishing itself in its trace', async () => {
    const trace = newTrace();
    const id = await append(trace);
    await using _ = relay();
    await arrived([id]);
    await ended('relay publish', 1);
    const [[batch], [sent]] = [named('relay publish'), named(`send ${topic}`)];
    expect([batch, sent].map((span) => span?.spanContext().traceId)).toEqual([trace, trace]);
    expect([parentOf(sent), parentOf(batch)]).toEqual([span_id, sent?.spanContext().spanId]);
  });

  it('what is published again, because a crash came before the mark, goes on in the same trace', async () => {
    const trace = newTrace();
    const id = await append(trace);
    await using _ = relay();
    await arrived([id]);
    await until(async () => (await store.events.countDocuments({ published_at: null })) === 0, { what: 'the mark' });
    await store.events.updateOne({ _id: id }, { $set: { published_at: null } });
    await arrived([id], 2);
    const again = headersOf(id);
    expect(new Set(again.map((header) => header.split('-')[1]))).toEqual(new Set([trace]));
    const values = received.filter(({ headers }) => String(headers.event_id) === id).map(({ value }) => String(value));
    expect(new Set(values).size).toBe(1);
  });

  it('what nobody records, or is no traceparent, goes as it came; an idle relay makes no spans', async () => {
    const trace = newTrace();
    const unsampled = await append(trace, '00');
    const odd = await store.execute({
      ...{ entityType: 'thing', entityId: 'odd' },
      decide: () => draft('created', { id: 'odd' }, { traceparent: 'a foreign one', trace_id: randomUUID() }),
    });
    await using _ = relay();
    await arrived([unsampled, odd.event?._id ?? '']);
    expect(headersOf(unsampled)).toEqual([`00-${trace}-${span_id}-00`]);
    expect(headersOf(odd.event?._id ?? '')).toEqual(['a foreign one']);
    await ended('relay publish', 1);
    expect(named(`send ${topic}`)).toEqual([]);
    telemetry.reset();
    await arrived([await append(newTrace())]);
    await ended('relay publish', 1);
    expect(named('relay publish')).toHaveLength(1);
  });

  it('the insert of an outbox is part of the trace of its event, and of nobody else’s', async () => {
    await using outbox = await createOutbox({
      ...{ db: database.db, collection: 'own', producer: bus.producer(), topic, environment: 'test', keepDays: 1, log: silent, pollMs: 20 },
      identity: { service: 'thing_service', instance: randomUUID() },
    });
    const own = (trace_id: string) => ({
      ...{ type: 'thing.seen', entity_type: 'thing', action_type: 'new' as const, company_id: 'c1', data: {} },
      context: {
        ...{ actor: { id: 'u1', type: 'user' as const }, role: 'user', ip: '203.0.113.9' },
        ...{ trace_id, traceparent: `00-${trace_id}-${span_id}-01` },
      },
    });
    const traces = [newTrace(), newTrace(), newTrace()];
    await Promise.all(traces.map((trace) => outbox.append([own(trace)])));
    const [alone, together] = named('outbox append');
    expect(alone?.spanContext().traceId).toBe(traces[0]);
    expect(together?.parentSpanContext).toBeUndefined();
    expect(together?.links.map(({ context }) => context.traceId)).toEqual(traces.slice(1));
    await ended(`send ${topic}`, 3);
  });

  it('tells how much it delivered, what failed, what waits and for how long', async () => {
    let away = true;
    await using _ = relay({
      lease: 'told',
      deliver: async () => {
        if (away) throw Object.assign(new Error('away'), { code: 'unavailable' });
      },
    });
    await append(newTrace());
    await append(newTrace());
    const labels = { 'biz.relay': 'told' };
    const points = async (name: string) =>
      (await telemetry.collect()).get(name)?.filter(({ attributes }) => attributes['biz.relay'] === 'told') ?? [];
    await until(async () => (await points('biz.relay.waiting'))[0]?.value === 2, { what: 'two that wait' });
    expect((await points('biz.relay.oldest'))[0]?.value).toBeGreaterThan(0);
    await until(
      async () => (await points('biz.relay.batch.duration')).some(({ attributes }) => attributes['error.type'] === 'unavailable'),
      {
        what: 'the failure',
      },
    );
    away = false;
    await until(async () => (await points('biz.relay.events'))[0]?.value === 2, { what: 'both delivered' });
    expect((await points('biz.relay.batch.size')).map(({ attributes, value }) => [attributes, (value as { sum: number }).sum])).toEqual([
      [labels, 2],
    ]);
    await until(async () => (await points('biz.relay.waiting'))[0]?.value === 0, { what: 'none that waits' });
    expect((await points('biz.relay.oldest'))[0]?.value).toBe(0);
  });
});

it('without the preload each message carries what its event was stored with', async () => {
  const trace = newTrace();
  const ids = [await append(trace), await append(trace)];
  await using _ = relay();
  await arrived(ids);
  for (const id of ids) expect(headersOf(id)).toEqual([`00-${trace}-${span_id}-01`]);
});
