import { randomUUID } from 'node:crypto';
import { isSpanContextValid, trace } from '@opentelemetry/api';

/** A W3C trace context: the header as it travels, and the trace id in it (32 hex digits). */
export type TraceContext = { readonly traceparent: string; readonly trace_id: string };

const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/**
 * The trace that work belongs to: the active OpenTelemetry span when telemetry is on, else the given `traceparent` continued with a new
 * span id, else a new trace. A malformed header is ignored, as W3C Trace Context (section 3.2) asks.
 */
export function traceContext(traceparent?: string): TraceContext {
  const active = trace.getActiveSpan()?.spanContext();
  if (active && isSpanContextValid(active)) {
    return { traceparent: `00-${active.traceId}-${active.spanId}-0${active.traceFlags & 1}`, trace_id: active.traceId };
  }
  const match = traceparentForm.exec(traceparent ?? '');
  const known = match && !/^0+$/.test(match[1] ?? '') && !/^0+$/.test(match[2] ?? '') ? match : undefined;
  const traceId = known?.[1] ?? randomHex();
  return { traceparent: `00-${traceId}-${randomHex().slice(-16)}-${known?.[3] ?? '01'}`, trace_id: traceId };
}

/** 32 hex digits; Node keeps a pool of random bytes for UUIDs, which makes this a twentieth of the cost of asking for bytes. */
function randomHex(): string {
  return randomUUID().replaceAll('-', '');
}
