import { createNoopMeter, type TracerProvider } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { MongoDBInstrumentation } from '@opentelemetry/instrumentation-mongodb';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';

/**
 * What is traced without a line of ours: MongoDB, and HTTP to others, each only inside of a span (what polls makes none). The statement and
 * the URL are not even made. HTTP and gRPC that we serve, and Kafka, are traced where they are served (gateway, @biz/rpc, @biz/bus).
 *
 * No loader hook is registered: what these patch is reached by `require` inside of CommonJS packages, or by diagnostics channels. A hook
 * would be a thread in each process, asked about every module at its start.
 */
export function instrument(tracerProvider: TracerProvider): void {
  registerInstrumentations({
    tracerProvider,
    meterProvider: { getMeter: createNoopMeter }, // their metrics are not in the catalogue
    instrumentations: [
      new MongoDBInstrumentation({ requireParentSpan: true, dbStatementSerializer: () => '' }),
      new UndiciInstrumentation({ requireParentforSpans: true }),
      new HttpInstrumentation({ disableIncomingRequestInstrumentation: true, requireParentforOutgoingSpans: true }),
    ],
  });
}
