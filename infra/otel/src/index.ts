export { type OtelConfig, otelConfig } from './config.ts';
export { applyRetention, type Kept, startRetention } from './retention.ts';
export { keepStore, openStore } from './store.ts';
export { collectorConfig, installTemplates, signals } from './templates.ts';
