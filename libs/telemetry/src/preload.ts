// What `--import @biz/telemetry/preload` runs before anything else of a process. Without a collector nothing is loaded.
const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: disabled } = process.env;

if (endpoint && disabled?.toLowerCase() !== 'true') {
  const { startTelemetry } = await import('./sdk.ts');
  startTelemetry(process.env);
}
