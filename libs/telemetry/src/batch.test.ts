import { type TestSpan, type TestTelemetry, testTelemetry } from '@biz/testing';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BatchOptions, type Carry, traced, tracedBatch } from './index.ts';

const trace_id = (n: number) => (n + 1).toString(16).padStart(32, 'a');
const span_id = 'b7ad6b7169203331';
const traceparent = (n: number, flags = '01') => `00-${trace_id(n)}-${span_id}-${flags}`;
const each = { name: 'send audit', kind: SpanKind.PRODUCER } as const;
const consumed = { name: 'process audit', kind: SpanKind.CONSUMER } as const;
const batchOf = (traceparents: readonly (string | undefined)[], over: Partial<BatchOptions> = {}): BatchOptions => ({
  count: traceparents.length,
  traceparentOf: (index) => traceparents[index],
  ...over,
});

describe('with telemetry on', () => {
  let telemetry: TestTelemetry;
  beforeEach(async () => {
    telemetry = await testTelemetry();
  });
  afterEach(() => telemetry[Symbol.asyncDispose]());

  const named = (name: string) => telemetry.spans().filter((span) => span.name === name);
  const linked = ({ links }: TestSpan) => links.map(({ context: { traceId, spanId } }) => [traceId, spanId]);

  it('a batch to send is a trace of its own with links; each message goes on in its own trace, linked to the batch', async () => {
    let headers: (string | undefined)[] = [];
    await tracedBatch(
      'relay publish',
      batchOf(
        [0, 1, 2].map((n) => traceparent(n)),
        { each },
      ),
      async (carry) => {
        headers = [0, 1, 2].map(carry);
        await traced('work', {}, async () => undefined);
      },
    );
    const [batch] = named('relay publish') as [TestSpan];
    expect(batch.parentSpanContext).toBeUndefined();
    expect(linked(batch)).toEqual([0, 1, 2].map((n) => [trace_id(n), span_id]));
    expect(batch.attributes).toMatchObject({ 'messaging.batch.message_count': 3 });
    const sent = named('send audit');
    expect(sent.map((span) => [span.spanContext().traceId, span.parentSpanContext?.spanId, span.kind])).toEqual(
      [0, 1, 2].map((n) => [trace_id(n), span_id, SpanKind.PRODUCER]),
    );
    expect(headers).toEqual(sent.map((span) => `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`));
    for (const span of sent) expect(linked(span)).toEqual([[batch.spanContext().traceId, batch.spanContext().spanId]]);
    expect(named('work')[0]?.parentSpanContext?.spanId).toBe(batch.spanContext().spanId);
  });

  it('a message that is asked for twice has one span, and one that is not sent has none', async () => {
    let headers: (string | undefined)[] = [];
    await tracedBatch('relay publish', batchOf([traceparent(0), traceparent(1)], { each }), async (carry) => {
      headers = [carry(1), carry(1)];
    });
    expect(named('send audit')).toHaveLength(1);
    expect(headers[0]).toBe(headers[1]);
  });

  it('messages that were worked on get spans with the times of the batch, made after it', async () => {
    const before = Date.now();
    await tracedBatch('audit ingest', batchOf([traceparent(0), traceparent(1)], { each: consumed, kind: SpanKind.CONSUMER }), async () => {
      expect(telemetry.spans()).toEqual([]);
    });
    const [batch] = named('audit ingest') as [TestSpan];
    const processed = named('process audit');
    expect(processed).toHaveLength(2);
    for (const span of processed) {
      expect(span.startTime).toEqual(batch.startTime);
      expect(span.startTime[0] * 1_000 + span.startTime[1] / 1e6).toBeGreaterThanOrEqual(before);
      expect(linked(span)).toEqual([[batch.spanContext().traceId, batch.spanContext().spanId]]);
    }
  });

  it.each([each, consumed])('a message that is alone shows the whole batch in its own trace: $name', async (message) => {
    await tracedBatch('batch', batchOf([traceparent(7)], { each: message }), async (carry) => {
      if (message === each) expect(carry(0)).toContain(trace_id(7));
      expect(trace.getActiveSpan()?.spanContext().traceId).toBe(trace_id(7));
    });
    const [own] = named(message.name) as [TestSpan];
    const [batch] = named('batch') as [TestSpan];
    expect(own.parentSpanContext?.spanId).toBe(span_id);
    expect(batch.parentSpanContext?.spanId).toBe(own.spanContext().spanId);
    expect([own, batch].map((span) => span.spanContext().traceId)).toEqual([trace_id(7), trace_id(7)]);
    expect(linked(own)).toEqual([[trace_id(7), batch.spanContext().spanId]]);
  });

  it('what is malformed, foreign or sampled by nobody has no span and goes on as it came', async () => {
    const others = [
      undefined,
      '',
      '550e8400-e29b-41d4-a716-446655440000',
      traceparent(0, '00'),
      traceparent(0, '02'),
      `00-${'0'.repeat(32)}-${span_id}-01`,
      traceparent(0).toUpperCase(),
      `${traceparent(0)}-x`,
      `ff${traceparent(0).slice(2)}`,
      '\u0000'.repeat(55),
    ];
    let headers: (string | undefined)[] = [];
    await tracedBatch('batch', batchOf([...others, traceparent(3)], { each }), async (carry) => {
      headers = others.map((_, index) => carry(index));
      carry(others.length);
    });
    expect(headers).toEqual(others);
    expect(
      telemetry
        .spans()
        .map((span) => span.name)
        .sort(),
    ).toEqual(['batch', 'send audit']);
    expect(linked(named('batch')[0] as TestSpan)).toEqual([[trace_id(3), span_id]]);
  });

  it('links are bounded', async () => {
    const many = Array.from({ length: 300 }, (_, n) => traceparent(n));
    await tracedBatch('batch', batchOf(many, { each: consumed }), async () => undefined);
    expect(named('batch')[0]?.links).toHaveLength(128);
    expect(named('batch')[0]?.droppedLinksCount).toBe(0);
    expect(named('process audit')).toHaveLength(300);
  });

  it('a failure is thrown on and marks the batch and its messages, without its words', async () => {
    const failure = Object.assign(new Error('Maria Silva, 123'), { code: 'unavailable' });
    const failing = tracedBatch('batch', batchOf([traceparent(0), traceparent(1)], { each: consumed }), () => Promise.reject(failure));
    await expect(failing).rejects.toBe(failure);
    const spans = telemetry.spans();
    expect(spans).toHaveLength(3);
    for (const { status, attributes, events } of spans) {
      expect(status).toEqual({ code: SpanStatusCode.ERROR });
      expect(attributes['error.type']).toBe('unavailable');
      expect(events).toEqual([]);
    }
  });

  it('a batch without a span for each message is below the one message that it has', async () => {
    await tracedBatch('batch', batchOf([traceparent(5)]), async () => undefined);
    await tracedBatch('batch', batchOf([]), async () => undefined);
    expect(telemetry.spans().map((span) => [span.spanContext().traceId, span.parentSpanContext?.spanId])).toEqual([[trace_id(5), span_id]]);
  });

  // the last one: it leaves no spans for others to make
  it('beyond what a process makes in a second, messages go on as they came, in the same traces', async () => {
    const many = Array.from({ length: 1_000 }, (_, n) => traceparent(n));
    const sent: (string | undefined)[] = [];
    // many times what is given at once, so that time, on a slow machine too, does not bring as much as is asked for
    for (let rounds = 0; rounds < 50 && !sent.includes(many.at(-1)); rounds += 1) {
      sent.length = 0;
      await tracedBatch('relay publish', batchOf(many, { each }), async (carry) => void sent.push(...many.map((_, index) => carry(index))));
    }
    expect(sent.at(-1)).toBe(many.at(-1));
    expect(sent.map((one) => one?.slice(0, 36))).toEqual(many.map((one) => one.slice(0, 36)));
  });
});

it('without the preload messages go on as they came, and nothing is asked of them', async () => {
  let asked = 0;
  const options: BatchOptions = {
    count: 2,
    traceparentOf: (index) => {
      asked += 1;
      return traceparent(index);
    },
    each: { ...each, attributesOf: () => expect.unreachable() },
  };
  const run = async (carry: Carry) => {
    expect(asked).toBe(0);
    return carry(1);
  };
  expect(await tracedBatch('batch', options, run)).toBe(traceparent(1));
  expect(asked).toBe(1);
});
