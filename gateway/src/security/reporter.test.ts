import { AppError } from '@biz/errors';
import { newId, rfc3339 } from '@biz/service';
import { until } from '@biz/testing';
import { expect, it } from 'vitest';
import type { Draft } from './draft.ts';
import { createReporter, type ReporterOptions } from './reporter.ts';

const draft = (over: Partial<Draft> = {}): Draft => ({
  ...{ event_id: newId(), event_type: 'ACCESS_DENIED_NO_ROLE', user_id: 'u-1', action: 'GET', resource: '/v1/teams/:id' },
  ...{ request_id: 'r', trace_id: 't', error_message: 'no_role', details: {}, count: 1, first_at: rfc3339(), last_at: rfc3339(), ...over },
});
/** One of its own: it folds with no other. */
const other = () => draft({ user_id: newId() });

function reporter(over: Partial<ReporterOptions> = {}) {
  const batches: Draft[][] = [];
  const lines: { level: string; text: string; details: Record<string, unknown> }[] = [];
  const write = (level: string) => (details: object, text: string) => void lines.push({ level, text, details: { ...details } });
  const engine = { fault: undefined as AppError | undefined };
  const made = createReporter({
    record: async (batch) => {
      if (engine.fault) throw engine.fault;
      batches.push(structuredClone([...batch]));
    },
    log: { info: write('info'), warn: write('warn'), error: write('error') } as never,
    ...{ limit: 100, foldMs: 5, maxPauseMs: 10, ...over },
  });
  return { ...made, batches, lines, engine, said: (text: string) => lines.filter((line) => line.text.includes(text)) };
}
const sent = (of: { batches: Draft[][] }) => of.batches.flat();

it('folds what is the same, and nothing else', async () => {
  const one = reporter();
  for (let n = 0; n < 999; n += 1) one.report(draft({ last_at: `2026-01-01T00:00:00.${String(n).padStart(3, '0')}Z` }));
  const differing: Partial<Draft>[] = [
    ...[{ event_type: 'TOKEN_INVALID' as const }, { user_id: 'u-2' }, { action: 'PUT' }, { resource: '/v1/me' }],
    ...[{ company_id: 'c' }, { error_message: 'x' }],
  ];
  for (const over of differing) one.report(draft(over));
  await until(() => sent(one).length === 7, { what: 'the events' });
  expect(sent(one).map(({ count }) => count)).toEqual([999, 1, 1, 1, 1, 1, 1]);
  expect(sent(one)[0]).toMatchObject({ last_at: '2026-01-01T00:00:00.998Z' });
  await one[Symbol.asyncDispose]();
});

it('tells callers without a name apart by their address', async () => {
  const one = reporter();
  const { user_id: _, ...nameless } = draft();
  for (const ip of ['203.0.113.1', '203.0.113.2', '203.0.113.1']) one.report({ ...nameless, event_id: newId(), ip });
  await until(() => sent(one).length === 2, { what: 'the events' });
  expect(sent(one).map(({ ip, count }) => [ip, count])).toEqual([
    ['203.0.113.1', 2],
    ['203.0.113.2', 1],
  ]);
  await one[Symbol.asyncDispose]();
});

it('keeps what cannot be handed over, up to the limit, and counts what it drops', async () => {
  const one = reporter({ limit: 10 });
  one.engine.fault = new AppError('unavailable', 'away');
  const kept = Array.from({ length: 10 }, other);
  for (const each of kept) one.report(each);
  await until(() => one.said('could not be handed over').length > 2, { what: 'some tries' });
  for (let n = 0; n < 25; n += 1) one.report(other());
  const { dropped, waiting } = { ...one.said('could not')[0]?.details, ...one.state() };
  expect([waiting, dropped]).toEqual([10, 25]);
  one.engine.fault = undefined;
  await until(() => sent(one).length === 10, { what: 'what was kept' });
  expect(sent(one).map(({ event_id }) => event_id)).toEqual(kept.map(({ event_id }) => event_id));
  one.report(other());
  await until(() => sent(one).length === 11, { what: 'the next event' });
  expect(sent(one)[10]?.details).toEqual({ dropped_before: 25 });
  expect(one.said('were dropped')[0]?.details).toEqual({ dropped: 25 });
  one.report(other());
  await until(() => sent(one).length === 12, { what: 'the one after' });
  expect(sent(one)[11]?.details).toEqual({});
  await one[Symbol.asyncDispose]();
});

it('sends a batch again as it was, so that no count is lost under an id that is known', async () => {
  const tries: Draft[][] = [];
  const one = reporter({
    record: async (batch) => {
      tries.push(structuredClone([...batch]));
      if (tries.length > 1) return;
      one.report(draft()); // the same comes while it is on its way
      throw new AppError('timeout', 'it may have been taken');
    },
  });
  one.report(draft());
  await until(() => tries.length === 3, { what: 'the tries' });
  expect(tries[1]).toEqual(tries[0]);
  expect(tries[2]?.[0]?.event_id).not.toBe(tries[0]?.[0]?.event_id);
  await one[Symbol.asyncDispose]();
});

it('goes in batches of 500', async () => {
  const one = reporter({ limit: 2_000 });
  for (let n = 0; n < 1_200; n += 1) one.report(other());
  await until(() => sent(one).length === 1_200, { what: 'all of them' });
  expect(one.batches.map(({ length }) => length)).toEqual([500, 500, 200]);
  await one[Symbol.asyncDispose]();
});

it('sets aside an event that is not taken, and no other', async () => {
  const bad = other();
  const got: string[] = [];
  const one = reporter({
    record: async (batch) => {
      if (batch.includes(bad)) throw new AppError('invalid_request', 'x', { faults: [{ path: '/events/3/ip', message: 'is not' }] });
      got.push(...batch.map(({ event_id }) => event_id));
    },
  });
  const good = Array.from({ length: 20 }, other);
  for (const each of [...good.slice(0, 7), bad, ...good.slice(7)]) one.report(each);
  await until(() => got.length === 20, { what: 'the others' });
  expect(got.sort()).toEqual(good.map(({ event_id }) => event_id).sort());
  expect(one.state()).toEqual({ waiting: 0, dropped: 1 });
  await one[Symbol.asyncDispose]();
});

it('hands over what waits when it ends, for as long as it may, and says what is lost', async () => {
  const one = reporter({ foldMs: 60_000 });
  for (let n = 0; n < 3; n += 1) one.report(other());
  await one[Symbol.asyncDispose]();
  expect(sent(one)).toHaveLength(3);
  const away = reporter({ foldMs: 60_000, stopMs: 50 });
  away.engine.fault = new AppError('unavailable', 'away');
  away.report(other());
  await away[Symbol.asyncDispose]();
  expect(away.said('were lost')[0]).toMatchObject({ level: 'error', details: { lost: 1 } });
});

it('ends although a try hangs', async () => {
  const one = reporter({
    stopMs: 50,
    record: (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new AppError('cancelled', 'x')))),
  });
  one.report(other());
  await until(() => one.state().waiting === 1, { what: 'it' });
  await one[Symbol.asyncDispose]();
  expect(one.said('were lost')).toHaveLength(1);
});
