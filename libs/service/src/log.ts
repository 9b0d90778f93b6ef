import { activeIds, sendLog } from '@biz/telemetry';
import { type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * The process's log: one JSON object a line on standard output. What may hold personal data or secrets is not logged at all; the
 * redaction is the second line of defence. A line written inside of a span carries its `trace_id` and `span_id`; with telemetry on, lines
 * from `info` up also go to the collector, of which only message and allowed fields leave (@biz/telemetry).
 */
export function createLog(name: string, level = 'info'): Log {
  return pino({
    name,
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    mixin: activeIds,
    hooks: {
      logMethod(args, method, level) {
        method.apply(this, args);
        const [first, second] = args as unknown as [unknown, unknown];
        const message = typeof first === 'string' ? first : second;
        sendLog(this.levels.labels[level] ?? '', String(message ?? ''), fieldsOf(first));
      },
    },
    redact: { paths: ['authorization', '*.authorization', 'password', '*.password', 'token', '*.token'], censor: '[redacted]' },
  });
}

/** An error may be given alone, in place of fields. */
function fieldsOf(first: unknown): Readonly<Record<string, unknown>> {
  if (typeof first !== 'object' || first === null) return {};
  return first instanceof Error ? { err: first } : (first as Record<string, unknown>);
}
