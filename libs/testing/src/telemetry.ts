import { context, metrics, trace } from '@opentelemetry/api';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';

export type TestSpan = ReadableSpan;

/** Telemetry of this process, kept in memory: what a test did gives spans and metrics that it can look at. */
export interface TestTelemetry extends AsyncDisposable {
  /** Spans that ended, in that order. */
  spans(): TestSpan[];
  /** Forgets the spans. */
  reset(): void;
  /** Asks all metrics now: the data points of each, by its name. */
  collect(): Promise<Map<string, MetricData['dataPoints']>>;
}

/** Turns telemetry on in this process, the SDK's own with everything sampled; disposing turns it off. One at a time. */
export async function testTelemetry(): Promise<TestTelemetry> {
  // only the tests that look at telemetry load an SDK
  const [{ AsyncLocalStorageContextManager }, { MeterProvider, MetricReader }, sdk] = await Promise.all([
    import('@opentelemetry/context-async-hooks'),
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/sdk-trace-base'),
  ]);
  class AskedReader extends MetricReader {
    protected override async onForceFlush(): Promise<void> {}
    protected override async onShutdown(): Promise<void> {}
  }
  const exporter = new sdk.InMemorySpanExporter();
  const tracers = new sdk.BasicTracerProvider({ spanProcessors: [new sdk.SimpleSpanProcessor(exporter)] });
  const reader = new AskedReader();
  const meters = new MeterProvider({ readers: [reader] });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(tracers);
  metrics.setGlobalMeterProvider(meters);
  return {
    spans: () => [...exporter.getFinishedSpans()],
    reset: () => exporter.reset(),
    async collect() {
      const { resourceMetrics } = await reader.collect();
      const all = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
      return new Map(all.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints]));
    },
    async [Symbol.asyncDispose]() {
      trace.disable();
      metrics.disable();
      context.disable();
      await Promise.all([tracers.shutdown(), meters.shutdown()]);
    },
  };
}
