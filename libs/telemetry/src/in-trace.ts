import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { spanContextOf } from './traced.ts';

/**
 * Runs `run` as part of the trace that a `traceparent` names, without a span: for log lines about one message of a batch. It is given the
 * trace's id as a field, for a process without telemetry; a malformed one, or none, is as nothing.
 */
export function inTraceOf<T>(traceparent: string | undefined, run: (trace: { trace_id?: string }) => T): T {
  const found = traceparent === undefined ? undefined : spanContextOf(traceparent);
  return found ? context.with(trace.setSpanContext(ROOT_CONTEXT, found), () => run({ trace_id: found.traceId })) : run({});
}
