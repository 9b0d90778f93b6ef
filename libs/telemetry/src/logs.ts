import { context, isSpanContextValid, trace } from '@opentelemetry/api';
import { type Logger, logs, SeverityNumber } from '@opentelemetry/api-logs';
import { allowed } from './allowed.ts';
import { scope } from './scope.ts';
import { errorType } from './traced.ts';

/** Levels of a log line that leave the process; `debug` and `trace` stay in its own output. */
const severities: Readonly<Record<string, SeverityNumber>> = {
  info: SeverityNumber.INFO,
  warn: SeverityNumber.WARN,
  error: SeverityNumber.ERROR,
  fatal: SeverityNumber.FATAL,
};

let logger: Logger | undefined;

/** For the preload: log lines leave from now on. */
export function sendLogs(): void {
  logger = logs.getLogger(scope);
}

/**
 * Sends a log line, under the active span: its message, which is a constant, and of its fields those that may leave. Of an error (`err`) only
 * `error.type`. Does nothing without the preload.
 */
export function sendLog(level: string, message: string, fields: Readonly<Record<string, unknown>>): void {
  const severityNumber = severities[level];
  if (!logger || severityNumber === undefined) return;
  const attributes = allowed('log', fields);
  if (fields.err !== undefined) attributes['error.type'] = errorType(fields.err);
  logger.emit({ severityNumber, severityText: level.toUpperCase(), body: message, attributes, context: context.active() });
}

/** The ids that a log line carries: those of the active span, or none. */
export function activeIds(): { trace_id?: string; span_id?: string } {
  const active = trace.getActiveSpan()?.spanContext();
  return active && isSpanContextValid(active) ? { trace_id: active.traceId, span_id: active.spanId } : {};
}
