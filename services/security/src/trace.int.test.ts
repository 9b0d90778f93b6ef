import { randomUUID } from 'node:crypto';
import type { RpcClient } from '@biz/rpc';
import type { RunningService } from '@biz/service';
import { type TestSpan, type TestTelemetry, testTelemetry, until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { person, type TestFleet, testFleet } from './test-fleet.ts';

let telemetry: TestTelemetry;
let fleet: TestFleet;
let service: RunningService & { client: RpcClient };
beforeAll(async () => {
  [telemetry, fleet] = await Promise.all([testTelemetry(), testFleet()]);
  service = await fleet.start({ ALERT_RULES_REFRESH_MS: '0' });
});
afterAll(async () => {
  service?.client[Symbol.dispose]();
  for (const part of [service, fleet, telemetry]) await part?.[Symbol.asyncDispose]();
});

const points = async (name: string) => (await telemetry.collect()).get(name) ?? [];

it('security events are recorded, and an alert is opened, in the trace of what happened; alerts and what waits are told', async () => {
  const company_id = randomUUID();
  const drafts = Array.from({ length: 12 }, () => ({ type: 'LOGIN_FAILED' as const, company_id, user_id: 'u-1' }));
  const ids = await fleet.publish(...drafts);
  await fleet.send('not about security');
  const alerts = fleet.client(service.address, 'biz.security.v1.SecurityAlertService');
  const admin = person(['admin'], [company_id]);
  const listed = () => alerts.call<{ items?: { id: string; kind: string }[] }>('ListSecurityAlerts', {}, admin);
  await until(async () => ((await listed()).items ?? []).length > 0, { what: 'the alert', timeoutMs: 30_000 });
  alerts[Symbol.dispose]();
  const processed = () => telemetry.spans().filter(({ name }) => name === `process ${fleet.topic}`);
  await until(() => processed().length === ids.length, { what: 'a span for each security event' });
  const opened = await fleet.database.db.collection('events').findOne({ type: 'security_alert.opened' });
  const ofAlert = (span: TestSpan) => span.spanContext().traceId === opened?.meta.trace_id;
  // who counts the other partition at the same time may try to open it, too, in a trace of its own
  const open = telemetry.spans().find((span) => span.name === 'alert open' && ofAlert(span));
  expect(open?.parentSpanContext?.spanId).toBe(processed().find(ofAlert)?.parentSpanContext?.spanId);
  expect(open).toBeDefined();
  expect(new Set(processed().map((span) => span.spanContext().traceId)).size).toBe(ids.length);
  const [alert] = await points('biz.security.alerts');
  expect(alert).toMatchObject({ attributes: { 'biz.alert.kind': 'failed_logins' }, value: 1 });
  await until(async () => (await points('biz.security.storage.waiting'))[0]?.value === 0, { what: 'nothing that waits' });
  expect((await points('biz.security.storage.waiting'))[0]?.attributes).toEqual({ 'biz.storage': 'mongodb' });
});
