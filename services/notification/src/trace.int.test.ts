import { randomUUID } from 'node:crypto';
import { createLog, type RunningService } from '@biz/service';
import { type TestTelemetry, testTelemetry, until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readServiceConfig } from './config.ts';
import { startNotification } from './service.ts';
import { type TestFleet, testFleet } from './test-fleet.ts';
import { type TestMailServer, testMailServer } from './test-mail-server.ts';

let telemetry: TestTelemetry;
let fleet: TestFleet;
let mail: TestMailServer;
let service: RunningService;

beforeAll(async () => {
  [telemetry, fleet, mail] = await Promise.all([testTelemetry(), testFleet(), testMailServer()]);
  service = await startNotification(readServiceConfig({ ...fleet.environment, SMTP_URL: mail.url }), createLog('notification', 'silent'));
});
afterAll(async () => {
  for (const part of [service, mail, fleet, telemetry]) await part?.[Symbol.asyncDispose]();
});

const spansOf = (trace: string) => telemetry.spans().filter((span) => span.spanContext().traceId === trace);
const points = async (name: string) => (await telemetry.collect()).get(name) ?? [];

it('a welcome and its delivery are part of the trace that made the user; how attempts end is told', async () => {
  mail.refuseNext(451);
  const message = await fleet.userCreated({ company_id: randomUUID(), email: 'maria@example.com' });
  const [, trace = '', span] = String(message.headers.traceparent).split('-');
  await fleet.publish(message);
  await until(() => mail.received.length === 1, { what: 'the e-mail', timeoutMs: 30_000 });
  const delivered = () => spansOf(trace).filter(({ name }) => name === 'notification deliver');
  await until(() => delivered().length === 2, { what: 'both attempts' });
  const welcome = await until(() => spansOf(trace).find(({ name }) => name === 'notification welcome'), { what: 'the welcome' });
  expect(welcome.parentSpanContext?.spanId).toBe(span);
  const events = await fleet.database.db.collection('events').find({ 'meta.trace_id': trace }).sort({ version: 1 }).toArray();
  expect(events.map(({ type }) => type)).toEqual(['notification.queued', 'notification.attempt_failed', 'notification.sent']);
  expect(events[0]?.meta.traceparent).toContain(welcome.spanContext().spanId);
  // each attempt follows the event before it
  expect(delivered().map((one) => one.parentSpanContext?.spanId)).toEqual(
    events.slice(0, 2).map(({ meta }) => String(meta.traceparent).split('-')[2]),
  );
  const sent = spansOf(trace).filter(({ name }) => name === 'notification send');
  expect(sent.map((one) => one.parentSpanContext?.spanId)).toEqual(delivered().map((one) => one.spanContext().spanId));
  const attempts = await points('biz.notification.attempts');
  expect(attempts.map(({ attributes, value }) => [attributes['biz.channel'], attributes['biz.outcome'], value])).toEqual([
    ['email', 'later', 1],
    ['email', 'sent', 1],
  ]);
  expect(await points('biz.notification.oldest')).toMatchObject([{ attributes: { 'biz.channel': 'email' }, value: 0 }]);
});
