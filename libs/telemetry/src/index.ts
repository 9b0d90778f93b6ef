export { type Context, type Span, SpanKind, SpanStatusCode } from '@opentelemetry/api';
export { askedOnce } from './asked.ts';
export { type BatchOptions, type Carry, tracedBatch } from './batch.ts';
export { catalogue, type Labels, type MetricEntry, type MetricName } from './catalogue.ts';
export { inTraceOf } from './in-trace.ts';
export { flushTelemetry } from './lifecycle.ts';
export { activeIds, sendLog } from './logs.ts';
export { type Counter, counter, gauge, histogram, type Observed, type Recorder, timed } from './metrics.ts';
export {
  contextWith,
  errorType,
  failSpan,
  linksOf,
  openSpan,
  parentOf,
  spanContextOf,
  type TracedOptions,
  traced,
  traceparentOf,
  tracer,
  untraced,
} from './traced.ts';
