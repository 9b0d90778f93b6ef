export { telemetryClient } from './client.ts';
export { applyRetention, type Kept, startRetention } from './retention.ts';
export { collectorConfig, installTemplates, signals } from './templates.ts';
