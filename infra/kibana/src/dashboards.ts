import { type Dashboard, dashboard } from './objects.ts';
import { panels } from './panels.ts';

const shown = (...names: (keyof typeof panels)[]) => names.map((name) => ({ type: 'visualization' as const, id: panels[name].id }));
const found = (id: string) => ({ type: 'search' as const, id });

export const dashboards: readonly Dashboard[] = [
  {
    id: 'biz-traffic',
    title: 'Biz Retail: traffic',
    description: 'What is asked, how long it takes, and whether the processes have room left',
    panels: shown('requests', 'latency', 'calls', 'eventLoop'),
  },
  {
    id: 'biz-errors',
    title: 'Biz Retail: errors',
    description: 'What failed, where, and how it was told',
    panels: [...shown('failedRequests', 'failedSpans', 'warnings', 'deadLetters'), found('biz-failures')],
  },
  {
    id: 'biz-audit-lag',
    title: 'Biz Retail: audit lag',
    description: 'From a committed event to a signed record: where it waits, and whether the audit is whole',
    panels: shown('relayOldest', 'consumerLag', 'records', 'checkpointAge', 'findings', 'verifications'),
  },
  {
    id: 'biz-security',
    title: 'Biz Retail: security events',
    description: 'What happens at the doors',
    panels: [...shown('securityEvents', 'severeEvents', 'refusals', 'alerts'), found('biz-security-events')],
  },
];

export const dashboardObjects = dashboards.map(dashboard);
