/** The instrumentation scope that our spans, metrics and log records name. */
export const scope = '@biz/telemetry';
