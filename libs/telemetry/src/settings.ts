import { AggregationTemporalityPreference } from '@opentelemetry/exporter-metrics-otlp-http';

/** How much is held and how often it is sent; bounded in number, so also in memory. */
export type Settings = {
  readonly spans: Batching;
  readonly logRecords: Batching;
  readonly metricsEveryMs: number;
  readonly temporality: AggregationTemporalityPreference;
  /** Longest wait for the collector's answer, in milliseconds. */
  readonly timeoutMs: number;
};

type Batching = {
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
  readonly scheduledDelayMillis: number;
};

/**
 * OpenTelemetry's own variables, with defaults for a fleet: larger queues and batches (fewer requests for the same work), and delta
 * temporality, since what Elasticsearch keeps are differences. A value that is no number is as one that is not there, as the
 * specification asks. The sampler (OTEL_TRACES_SAMPLER) and the exporters' address and headers (OTEL_EXPORTER_OTLP_…) are read by the SDK.
 */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  return {
    spans: batching(env, 'OTEL_BSP', { queue: 8_192, batch: 1_024, delayMs: 2_000 }),
    logRecords: batching(env, 'OTEL_BLRP', { queue: 4_096, batch: 1_024, delayMs: 2_000 }),
    metricsEveryMs: number(env.OTEL_METRIC_EXPORT_INTERVAL) ?? 60_000,
    temporality:
      temporalities[env.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE?.toLowerCase() ?? ''] ?? AggregationTemporalityPreference.DELTA,
    timeoutMs: number(env.OTEL_EXPORTER_OTLP_TIMEOUT) ?? 5_000,
  };
}

const temporalities: Readonly<Record<string, AggregationTemporalityPreference>> = {
  delta: AggregationTemporalityPreference.DELTA,
  cumulative: AggregationTemporalityPreference.CUMULATIVE,
  lowmemory: AggregationTemporalityPreference.LOWMEMORY,
};

function batching(env: NodeJS.ProcessEnv, prefix: string, fallback: { queue: number; batch: number; delayMs: number }): Batching {
  const maxQueueSize = number(env[`${prefix}_MAX_QUEUE_SIZE`]) ?? fallback.queue;
  return {
    maxQueueSize,
    maxExportBatchSize: Math.min(maxQueueSize, number(env[`${prefix}_MAX_EXPORT_BATCH_SIZE`]) ?? fallback.batch),
    scheduledDelayMillis: number(env[`${prefix}_SCHEDULE_DELAY`]) ?? fallback.delayMs,
  };
}

function number(text: string | undefined): number | undefined {
  const value = Number(text);
  return text !== undefined && Number.isInteger(value) && value > 0 && value <= 2_147_483_647 ? value : undefined;
}
