import { type TestTelemetry, testTelemetry } from '@biz/testing';
import { afterEach, expect, it } from 'vitest';
import { activeIds, inTraceOf } from './index.ts';

const trace_id = '0af7651916cd43dd8448eb211c80319c';
const traceparent = `00-${trace_id}-b7ad6b7169203331-01`;
let telemetry: TestTelemetry | undefined;
afterEach(async () => {
  await telemetry?.[Symbol.asyncDispose]();
  telemetry = undefined;
});

it('what is told of a message is told in its trace, without a span', async () => {
  telemetry = await testTelemetry();
  expect(inTraceOf(traceparent, (trace) => [trace, activeIds()])).toEqual([{ trace_id }, { trace_id, span_id: 'b7ad6b7169203331' }]);
  expect(telemetry.spans()).toEqual([]);
});

it('without the preload the trace is given all the same, and none where there is none', () => {
  expect(inTraceOf(traceparent, (trace) => trace)).toEqual({ trace_id });
  for (const none of [undefined, '', '550e8400-e29b-41d4-a716-446655440000']) expect(inTraceOf(none, (trace) => trace)).toEqual({});
});
