import { type IndexPattern, type Query, visualization } from './objects.ts';
import { views } from './views.ts';

/** Buckets of one chart: times by series. */
const BUCKETS = 2_000;

/** A measure over time, one line or stack of bars a value of `by`. */
interface Panel {
  id: string;
  title: string;
  description: string;
  view: IndexPattern;
  /** A bucket's value; without it the number of documents. */
  measure?: { aggregation: 'sum' | 'max' | 'avg' | 'p95'; field: string; divideBy?: number };
  by?: string;
  filter?: Query[];
  mark: 'bar' | 'line';
  /** What the value is. */
  unit: string;
}

const metric = (name: string) => `metrics.${name}`;
const label = (name: string) => `attributes.${name}`;
const exists = (field: string): Query => ({ exists: { field } });
const service = 'resource.attributes.service.name';

const requests = 'http.server.request.duration';

export const panels = {
  requests: {
    id: 'biz-requests-by-route',
    title: 'Requests by route',
    description: 'As the gateway counted them',
    view: views.metrics,
    measure: { aggregation: 'sum', field: `${metric(requests)}.value_count` },
    by: label('http.route'),
    mark: 'bar',
    unit: 'requests',
  },
  latency: {
    id: 'biz-latency-by-route',
    title: 'Time of an answer by route, 95th percentile',
    description: 'Of the gateway’s spans: of sampled requests, that is',
    view: views.traces,
    measure: { aggregation: 'p95', field: 'duration', divideBy: 1e6 },
    by: label('http.route'),
    filter: [{ term: { kind: 'Server' } }, exists(label('http.route'))],
    mark: 'line',
    unit: 'ms',
  },
  calls: {
    id: 'biz-calls-by-service',
    title: 'gRPC calls by service',
    description: 'As the services counted them',
    view: views.metrics,
    measure: { aggregation: 'sum', field: `${metric('rpc.server.duration')}.value_count` },
    by: label('rpc.service'),
    mark: 'bar',
    unit: 'calls',
  },
  eventLoop: {
    id: 'biz-event-loop',
    title: 'Delay of the event loop, 99th percentile',
    description: 'Above 0.1 s a process has too much to do',
    view: views.metrics,
    measure: { aggregation: 'max', field: metric('nodejs.eventloop.delay.p99') },
    by: service,
    mark: 'line',
    unit: 's',
  },
  failedRequests: {
    id: 'biz-failed-requests',
    title: 'Answers of 400 and above by status',
    description: 'As the gateway counted them',
    view: views.metrics,
    measure: { aggregation: 'sum', field: `${metric(requests)}.value_count` },
    by: label('http.response.status_code'),
    filter: [{ range: { [label('http.response.status_code')]: { gte: 400 } } }],
    mark: 'bar',
    unit: 'answers',
  },
  failedSpans: {
    id: 'biz-failed-spans',
    title: 'Failed spans by process',
    description: 'Work that ended in an error, of sampled traces',
    view: views.traces,
    by: service,
    filter: [{ term: { 'status.code': 'Error' } }],
    mark: 'bar',
    unit: 'spans',
  },
  warnings: {
    id: 'biz-warnings',
    title: 'Warnings and errors in logs by process',
    description: 'Lines of severity WARN and above',
    view: views.logs,
    by: service,
    filter: [{ range: { severity_number: { gte: 13 } } }],
    mark: 'bar',
    unit: 'lines',
  },
  deadLetters: {
    id: 'biz-dead-letters',
    title: 'Dead letters by code',
    description: 'Messages that are no envelope; npm run dead-letters shows them',
    view: views.metrics,
    measure: { aggregation: 'sum', field: metric('biz.audit.dead_letters') },
    by: label('biz.dead_letter.code'),
    mark: 'bar',
    unit: 'messages',
  },
  consumerLag: {
    id: 'biz-consumer-lag',
    title: 'Consumer lag by group',
    description: 'Messages of the worst partition beyond the committed offset',
    view: views.metrics,
    measure: { aggregation: 'max', field: metric('biz.consumer.lag') },
    by: label('messaging.consumer.group.name'),
    mark: 'line',
    unit: 'messages',
  },
  relayOldest: {
    id: 'biz-relay-oldest',
    title: 'Oldest event that waits for a relay',
    description: 'Committed and not published yet; above 60 s Kafka is away or refuses',
    view: views.metrics,
    measure: { aggregation: 'max', field: metric('biz.relay.oldest') },
    by: service,
    mark: 'line',
    unit: 's',
  },
  records: {
    id: 'biz-records',
    title: 'Records stored',
    description: 'Durable and part of the tree',
    view: views.metrics,
    measure: { aggregation: 'sum', field: metric('biz.audit.records') },
    mark: 'bar',
    unit: 'records',
  },
  checkpointAge: {
    id: 'biz-checkpoint-age',
    title: 'Age of what waits for a signed checkpoint',
    description: 'Above 60 s the file of checkpoints cannot be written, or the key is gone',
    view: views.metrics,
    measure: { aggregation: 'max', field: metric('biz.audit.checkpoint.age') },
    mark: 'line',
    unit: 's',
  },
  findings: {
    id: 'biz-findings',
    title: 'Open findings of completeness by kind',
    description: 'Where the audit and a service do not agree',
    view: views.metrics,
    measure: { aggregation: 'max', field: metric('biz.audit.findings.open') },
    by: label('biz.finding.kind'),
    mark: 'line',
    unit: 'findings',
  },
  verifications: {
    id: 'biz-verifications',
    title: 'Verifications by result',
    description: 'Of integrity and completeness',
    view: views.metrics,
    measure: { aggregation: 'sum', field: metric('biz.audit.verifications') },
    by: label('biz.verification.result'),
    mark: 'bar',
    unit: 'verifications',
  },
  securityEvents: {
    id: 'biz-security-events-by-type',
    title: 'Security events by type',
    description: 'An event that stands for many counts as many',
    view: views.security,
    measure: { aggregation: 'sum', field: 'count' },
    by: 'event_type',
    mark: 'bar',
    unit: 'events',
  },
  severeEvents: {
    id: 'biz-security-events-by-severity',
    title: 'Security events by severity',
    description: 'As the rules of the security service rate them',
    view: views.security,
    measure: { aggregation: 'sum', field: 'count' },
    by: 'severity',
    mark: 'bar',
    unit: 'events',
  },
  refusals: {
    id: 'biz-refusals',
    title: 'Requests turned away by reason',
    description: 'Token, role, company or client',
    view: views.metrics,
    measure: { aggregation: 'sum', field: metric('biz.gateway.refusals') },
    by: label('error.type'),
    mark: 'bar',
    unit: 'requests',
  },
  alerts: {
    id: 'biz-alerts',
    title: 'Alerts opened by kind',
    description: 'What the rules found',
    view: views.metrics,
    measure: { aggregation: 'sum', field: metric('biz.security.alerts') },
    by: label('biz.alert.kind'),
    mark: 'bar',
    unit: 'alerts',
  },
} as const satisfies Record<string, Panel>;

export const panelObjects = Object.values(panels).map((panel: Panel) =>
  visualization({ id: panel.id, title: panel.title, description: panel.description, spec: specOf(panel) }),
);

/** Vega-Lite 5, with the members in percent signs that Kibana replaces: the dashboard's time and filters. */
function specOf(panel: Panel): VegaLite {
  const { view, by, filter = [], mark, unit, measure } = panel;
  const fields = [...filter, ...(measure ? [exists(measure.field)] : [])];
  const time = { time: { date_histogram: { field: view.time, fixed_interval: { '%autointerval%': true } } } };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v5.json',
    data: {
      url: {
        '%context%': true,
        '%timefield%': view.time,
        index: view.title,
        body: {
          size: 0,
          // Kibana puts the dashboard's own query beside what stands in the body's aggregations
          aggs: {
            chosen: {
              filter: { bool: { filter: fields } },
              aggs: {
                points: {
                  composite: { size: BUCKETS, sources: [time, ...(by ? [{ series: { terms: { field: by } } }] : [])] },
                  ...(measure && { aggs: { value: aggregationOf(measure) } }),
                },
              },
            },
          },
        },
      },
      format: { property: 'aggregations.chosen.points.buckets' },
    },
    transform: [{ calculate: valueFrom(measure), as: 'measured' }],
    mark: { type: mark, tooltip: true, ...(mark === 'line' && { point: true }) },
    encoding: {
      x: { field: 'key.time', type: 'temporal', title: null },
      y: { field: 'measured', type: 'quantitative', title: unit, ...(mark === 'bar' && { stack: 'zero' }) },
      ...(by && { color: { field: 'key.series', type: 'nominal', title: null } }),
    },
  };
}

function aggregationOf({ aggregation, field }: NonNullable<Panel['measure']>): object {
  return aggregation === 'p95' ? { percentiles: { field, percents: [95], keyed: false } } : { [aggregation]: { field } };
}

function valueFrom(measure: Panel['measure']): string {
  if (measure === undefined) return 'datum.doc_count';
  const value = measure.aggregation === 'p95' ? 'datum.value.values[0].value' : 'datum.value.value';
  return measure.divideBy === undefined ? value : `${value} / ${measure.divideBy}`;
}

export interface VegaLite {
  $schema: string;
  data: {
    url: { index: string; body: { size: number; aggs: Record<string, object> }; [context: string]: unknown };
    format: { property: string };
  };
  [member: string]: unknown;
}
