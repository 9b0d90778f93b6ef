import type { Link, SpanContext } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { LogRecordExporter, ReadableLogRecord } from '@opentelemetry/sdk-logs';
import type { MetricData, PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import { allowed, allowedSpanName } from './allowed.ts';
import { catalogue } from './catalogue.ts';
import type { Outage } from './outage.ts';

type Done = (result: ExportResult) => void;

/**
 * Exporters that let only pass what `allowed.ts` says, and tell of an outage once instead of each time. Texts of status and exceptions, and
 * `tracestate`, which a client may fill as it likes, never pass.
 */
export function allowedSpans(exporter: SpanExporter, outage: Outage): SpanExporter {
  return {
    export: (spans, done) => exporter.export(spans.map(spanOf), watched(done, outage, 'spans', spans.length)),
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
}

/** The same for log records. */
export function allowedLogs(exporter: LogRecordExporter, outage: Outage): LogRecordExporter {
  return {
    export: (records, done) => exporter.export(records.map(logOf), watched(done, outage, 'log records', records.length)),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush(),
  };
}

/** The same for metrics: those of the catalogue, with the labels that it names. */
export function allowedMetrics(exporter: PushMetricExporter, outage: Outage): PushMetricExporter {
  return {
    export: (metrics, done) => exporter.export(metricsOf(metrics), watched(done, outage, 'metrics', 1)),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush(),
    ...(exporter.selectAggregationTemporality && {
      selectAggregationTemporality: exporter.selectAggregationTemporality.bind(exporter),
    }),
    ...(exporter.selectAggregation && { selectAggregation: exporter.selectAggregation.bind(exporter) }),
  };
}

/** What cannot be delivered is dropped: the SDK is told that all went well, so that it says nothing itself; the outage says it once. */
function watched(done: Done, outage: Outage, what: string, count: number): Done {
  return (result) => {
    if (result.code === ExportResultCode.SUCCESS) outage.over();
    else outage.lost(what, count, result.error);
    done({ code: ExportResultCode.SUCCESS });
  };
}

function spanOf(span: ReadableSpan): ReadableSpan {
  const own = bare(span.spanContext());
  const attributes = allowed('span', span.attributes);
  const name = allowedSpanName(span.name);
  return {
    // MongoDB's commands that are of no collection are told as of `$cmd`
    name: name === 'other' ? String(attributes['db.operation.name'] ?? name) : name,
    kind: span.kind,
    spanContext: () => own,
    ...(span.parentSpanContext && { parentSpanContext: bare(span.parentSpanContext) }),
    startTime: span.startTime,
    endTime: span.endTime,
    status: { code: span.status.code },
    attributes,
    links: span.links.map(linkOf),
    events: span.events.map((event) => ({
      time: event.time,
      name: allowedSpanName(event.name),
      attributes: eventAttributes(event.attributes ?? {}),
      droppedAttributesCount: 0,
    })),
    duration: span.duration,
    ended: span.ended,
    resource: span.resource,
    instrumentationScope: span.instrumentationScope,
    droppedAttributesCount: span.droppedAttributesCount,
    droppedEventsCount: span.droppedEventsCount,
    droppedLinksCount: span.droppedLinksCount,
  };
}

/** Of an exception its class stays, under the name that errors have everywhere. */
function eventAttributes(attributes: Readonly<Record<string, unknown>>) {
  const type = attributes['exception.type'];
  return allowed('span', type === undefined ? attributes : { 'error.type': type, ...attributes });
}

function linkOf({ context, attributes }: Link): Link {
  return { context: bare(context), attributes: allowed('span', attributes ?? {}) };
}

/** A span context without `tracestate`. */
function bare({ traceId, spanId, traceFlags, isRemote }: SpanContext): SpanContext {
  return { traceId, spanId, traceFlags, ...(isRemote !== undefined && { isRemote }) };
}

function logOf(record: ReadableLogRecord): ReadableLogRecord {
  const { body, severityText } = record;
  return {
    hrTime: record.hrTime,
    hrTimeObserved: record.hrTimeObserved,
    ...(record.spanContext && { spanContext: bare(record.spanContext) }),
    ...(severityText !== undefined && { severityText }),
    ...(record.severityNumber !== undefined && { severityNumber: record.severityNumber }),
    ...(typeof body === 'string' && { body: body.slice(0, longestBody) }),
    resource: record.resource,
    instrumentationScope: record.instrumentationScope,
    attributes: allowed('log', record.attributes),
    droppedAttributesCount: record.droppedAttributesCount,
  };
}

/** Longest message of a log record, in characters; our messages are constants, this is for those of libraries. */
const longestBody = 256;

function metricsOf({ resource, scopeMetrics }: ResourceMetrics): ResourceMetrics {
  return {
    resource,
    scopeMetrics: scopeMetrics.map(({ scope, metrics }) => ({
      scope,
      metrics: metrics.filter(({ descriptor }) => Object.hasOwn(catalogue, descriptor.name)).map(metricOf),
    })),
  };
}

function metricOf<Metric extends MetricData>(metric: Metric): Metric {
  return {
    ...metric,
    dataPoints: metric.dataPoints.map((point) => ({ ...point, attributes: allowed('label', point.attributes) })),
  };
}
