import { type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * The process's log: one JSON object a line on standard output. What may hold personal data or secrets is not logged at all; the
 * redaction is the second line of defence.
 */
export function createLog(name: string, level = 'info'): Log {
  return pino({
    name,
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: ['authorization', '*.authorization', 'password', '*.password', 'token', '*.token'], censor: '[redacted]' },
  });
}
