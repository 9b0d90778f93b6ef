export { type Page, type TestBrowser, testBrowser } from './browser.ts';
export { type ReceivedLog, type ReceivedMetric, type ReceivedSpan, type TestCollector, testCollector } from './collector.ts';
export { type TestDatabase, testDatabase } from './database.ts';
export { type Engines, engines } from './engines.ts';
export { uniqueName } from './names.ts';
export { type TestProxy, testProxy } from './proxy.ts';
export { type TestSpan, type TestTelemetry, testTelemetry } from './telemetry.ts';
export { type TestTls, testTls } from './tls.ts';
export { until } from './until.ts';
