// A process for the tests of the preload: it does what its argument says, then sends what it holds and exits.
import { metrics } from '@opentelemetry/api';
import { counter, flushTelemetry, histogram, SpanKind, sendLog, traced } from '../index.ts';

const done = async () => {
  await flushTelemetry(3_000);
  process.exit(0);
};

if (process.argv[2] === 'work') {
  metrics.getMeter('a library').createCounter('of.a.library').add(1, { who: 'zuleica' });
  await traced(
    'do work',
    { kind: SpanKind.SERVER, attributes: { 'biz.company_id': 'c1', 'user.email': 'zuleica@example.com', 'http.route': '/v1/teams/:id' } },
    async (span) => {
      span.addEvent('seen', { 'exception.message': 'CPF 529.982.247-25', 'exception.type': 'RangeError' });
      sendLog('info', 'done', { code: 'not_found', status: 404, name: 'Zuleica', err: new TypeError('zuleica@example.com') });
      sendLog('debug', 'not sent', {});
      counter('biz.gateway.refusals').add(2, { 'error.type': 'token_expired', who: 'zuleica' } as never);
      histogram('http.server.request.duration').record(0.02, { 'http.route': '/v1/teams/:id' });
      await traced('fails', {}, async () => {
        throw Object.assign(new Error('zuleica@example.com'), { code: 'conflict' });
      }).catch(() => {});
    },
  );
}
await done();
