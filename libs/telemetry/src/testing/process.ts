// A process for the tests of the preload: it does what its argument says, then sends what it holds and exits.
import { createRequire } from 'node:module';
import { metrics, trace } from '@opentelemetry/api';
import { counter, flushTelemetry, histogram, SpanKind, sendLog, traced } from '../index.ts';

const does: Record<string, () => Promise<void>> = {
  /** Which packages of OpenTelemetry were loaded. */
  async tell() {
    const files = Object.keys(createRequire(import.meta.url).cache);
    const packages = files.map((file) => /node_modules\/(@opentelemetry\/[^/]+)/.exec(file)?.[1]).filter(Boolean);
    console.log(JSON.stringify({ packages: [...new Set(packages)] }));
  },

  /** What must not be told, in every place that telemetry has for it. */
  async work() {
    const hostile = { 'user.email': 'zuleica@example.com', 'url.full': 'https://x/?cpf=52998224725', 'http.route': '/v1/teams/0190a0c4' };
    const link = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
    await traced('do work', { kind: SpanKind.SERVER, attributes: { 'biz.company_id': 'c-1', ...hostile } }, async (span) => {
      span.recordException(new RangeError('zuleica@example.com'));
      span.addEvent('of zuleica@example.com', hostile);
      span.addLink({ context: link, attributes: hostile });
      span.setStatus({ code: 2, message: 'E11000 duplicate key { email: "zuleica@example.com" }' });
      sendLog('info', 'done', { code: 'not_found', status: 404, detail: 'zuleica@example.com', err: new TypeError('zuleica@example.com') });
      sendLog('debug', 'not sent', {});
      await traced('fails', {}, async () => {
        throw Object.assign(new Error('zuleica@example.com'), { code: 'conflict' });
      }).catch(() => undefined);
    });
    trace.getTracer('a library').startSpan('GET /?email=zuleica@example.com', { attributes: hostile }).end();
    counter('biz.gateway.refusals').add(2, { 'error.type': 'token_expired', ...hostile });
    histogram('http.server.request.duration').record(0.02, { 'http.route': '/v1/teams/:id' });
    metrics.getMeter('a library').createCounter('of.a.library').add(1, hostile);
  },

  /** Sends several times, whether anybody takes it or not. */
  async send() {
    for (let round = 0; round < 3; round += 1) {
      await traced('do work', {}, async () => undefined);
      await flushTelemetry(2_000);
    }
  },
};

await does[process.argv[2] ?? '']?.();
// what is looked for has to arrive, on a busy machine too
await flushTelemetry(process.argv[2] === 'work' ? 30_000 : 3_000);
process.exit(0);
