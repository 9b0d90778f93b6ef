import { context, DiagLogLevel, diag, metrics, propagation, trace } from '@opentelemetry/api';
import { logs } from '@opentelemetry/api-logs';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import type { Resource } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { allowedLogs, allowedMetrics, allowedSpans } from './exporters.ts';
import { instrument } from './instrumentations.ts';
import { onFlush } from './lifecycle.ts';
import { sendLogs } from './logs.ts';
import { createOutage, type Outage, type Say } from './outage.ts';
import { resourceOf } from './resource.ts';
import { watchRuntime } from './runtime.ts';
import { readSettings, type Settings } from './settings.ts';
import { catalogueViews } from './views.ts';

/**
 * Starts the SDK of this process and makes it the global one: traces, metrics and logs go to the collector by OTLP (protobuf over HTTP), in
 * batches, from bounded queues; what does not fit, or cannot be delivered, is dropped. It never throws for a collector that is away.
 */
export function startTelemetry(env: NodeJS.ProcessEnv): void {
  const settings = readSettings(env);
  const say = sayer(env);
  const outage = createOutage(say);
  diag.setLogger(
    { error() {}, warn() {}, info() {}, debug() {}, verbose() {} },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler(() => {}); // what it would say is an outage, which is told once
  const resource = resourceOf(env);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const tracers = traces(settings, resource, outage);
  const meters = measures(settings, resource, outage);
  const records = lines(settings, resource, outage);
  instrument(tracers);
  watchRuntime();
  onFlush(async () => {
    await Promise.allSettled([tracers.forceFlush(), meters.forceFlush(), records.forceFlush()]);
  });
}

function traces({ spans, timeoutMs }: Settings, resource: Resource, outage: Outage): BasicTracerProvider {
  const exporter = allowedSpans(new OTLPTraceExporter({ timeoutMillis: timeoutMs }), outage);
  const provider = new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporter, spans)] });
  trace.setGlobalTracerProvider(provider);
  return provider;
}

function measures({ metricsEveryMs, temporality, timeoutMs }: Settings, resource: Resource, outage: Outage): MeterProvider {
  const exporter = allowedMetrics(new OTLPMetricExporter({ timeoutMillis: timeoutMs, temporalityPreference: temporality }), outage);
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: metricsEveryMs,
    exportTimeoutMillis: Math.min(metricsEveryMs, 30_000),
  });
  const provider = new MeterProvider({ resource, readers: [reader], views: catalogueViews() });
  metrics.setGlobalMeterProvider(provider);
  return provider;
}

function lines({ logRecords, timeoutMs }: Settings, resource: Resource, outage: Outage): LoggerProvider {
  const exporter = allowedLogs(new OTLPLogExporter({ timeoutMillis: timeoutMs }), outage);
  const provider = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter, ...logRecords })] });
  logs.setGlobalLoggerProvider(provider);
  sendLogs();
  return provider;
}

/** A line in the form of the process's log, which is not there yet when the preload runs. */
function sayer(env: NodeJS.ProcessEnv): Say {
  const name = env.OTEL_SERVICE_NAME ?? 'telemetry';
  return (level, msg, fields) => {
    const line = { level, time: new Date().toISOString(), pid: process.pid, name, ...fields, msg };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  };
}
