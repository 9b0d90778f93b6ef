import { dataView, type IndexPattern } from './objects.ts';

/** What can be searched: telemetry's data streams (infra/otel), and the security service's index. */
export const views = {
  traces: { id: 'biz-traces', title: 'biz-traces-*', time: '@timestamp', name: 'Traces' },
  logs: { id: 'biz-logs', title: 'biz-logs-*', time: '@timestamp', name: 'Logs' },
  metrics: { id: 'biz-metrics', title: 'biz-metrics-*', time: '@timestamp', name: 'Metrics' },
  security: { id: 'biz-security-events', title: 'security-events*', time: 'occurred_at', name: 'Security events' },
} as const satisfies Record<string, IndexPattern>;

export const viewObjects = Object.values(views).map(dataView);
