import { AggregationType, createAllowListAttributesProcessor, type ViewOptions } from '@opentelemetry/sdk-metrics';
import { catalogue, type MetricEntry } from './catalogue.ts';

/** Most sets of labels that one metric keeps in a process; what comes beyond is counted as one (`otel.metric.overflow`). */
const cardinality = 2_000;

/** Metrics are kept as the catalogue has them: with its labels only, so that what else is put on a metric makes no series of its own. */
export function catalogueViews(): ViewOptions[] {
  return Object.entries(catalogue).map(
    ([instrumentName, entry]: [string, MetricEntry]): ViewOptions => ({
      instrumentName,
      attributesProcessors: [createAllowListAttributesProcessor([...entry.labels])],
      aggregationCardinalityLimit: cardinality,
      ...(entry.buckets && {
        aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: [...entry.buckets] } },
      }),
    }),
  );
}
