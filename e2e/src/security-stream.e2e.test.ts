// What happens at the doors, as whoever watches it sees it: within seconds, and without a gap when the connection is lost.
import { readFileSync } from 'node:fs';
import { until } from '@biz/testing';
import { Agent, request } from 'undici';
import { afterAll, describe, expect, it } from 'vitest';
import { as, unique } from './client.ts';
import { currentRun } from './fleet.ts';

const agents: Agent[] = [];
afterAll(() => Promise.all(agents.map((agent) => agent.destroy())));

/** A stream as `EventSource` reads it, of one of the local realm's users. */
async function watch(username: string, lastId?: string) {
  const run = currentRun();
  const agent = new Agent({ connect: { ca: readFileSync(run.ca_file) }, bodyTimeout: 0 });
  agents.push(agent);
  const answer = await request(`${run.gateway}/v1/security/stream`, {
    dispatcher: agent,
    headers: {
      authorization: `Bearer ${await as(username).token()}`,
      'accept-encoding': 'gzip',
      ...(lastId && { 'last-event-id': lastId }),
    },
  });
  // biome-ignore lint/suspicious/noExplicitAny: events are looked at, not programmed against
  const state = { last: '', events: [] as any[], rest: '' };
  void (async () => {
    for await (const chunk of answer.body) {
      const blocks = (state.rest + String(chunk)).split('\n\n');
      state.rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const [, id] = /^id: (.*)$/m.exec(block) ?? [];
        const [, data] = /^data: (.*)$/m.exec(block) ?? [];
        if (id !== undefined) state.last = id;
        if (data !== undefined) state.events.push(JSON.parse(data));
      }
    }
  })().catch(() => undefined); // it is left in the middle
  await until(() => state.last, { what: 'the stream to begin', timeoutMs: 60_000 });
  return {
    answer,
    state,
    saw: (requestId: string) => state.events.filter(({ request_id }) => request_id === requestId),
    leave: () => agent.destroy(),
  };
}

/** A look at another company, known by the id of its request. */
async function lookElsewhere(): Promise<string> {
  const id = unique('look');
  const headers = { 'x-company-id': '01890000-0000-7000-8000-000000000000', 'x-request-id': id };
  expect((await as('admin-a').get('/v1/teams', headers)).status).toBe(403);
  return id;
}

describe('the stream of security events', () => {
  it('shows within seconds what happened, to those of the company', async () => {
    const [own, other, all] = await Promise.all([watch('auditor-a'), watch('admin-b'), watch('platform')]);
    expect(own.answer.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    expect(own.answer.headers['content-encoding']).toBeUndefined();
    const id = await lookElsewhere();
    await until(() => own.saw(id).length > 0 && all.saw(id).length > 0, { what: 'the event in the streams', timeoutMs: 60_000 });
    expect(own.saw(id)).toMatchObject([{ event_type: 'ACCESS_DENIED_WRONG_EMPRESA', severity: 'CRITICAL', resource: '/v1/teams' }]);
    expect(other.saw(id)).toEqual([]);
    const { body } = await as('auditor-a').get('/v1/security/events?event_type=ACCESS_DENIED_WRONG_EMPRESA&page_size=200');
    expect(body.items).toContainEqual(own.saw(id)[0]);
    await Promise.all([own.leave(), other.leave(), all.leave()]);
  });

  it('goes on where it was left, without a loss and without repeating', async () => {
    const first = await watch('auditor-a');
    const seen = await lookElsewhere();
    await until(() => first.saw(seen).length > 0, { what: 'the first event', timeoutMs: 60_000 });
    await first.leave();
    const missed = await lookElsewhere();
    await until(
      async () => {
        const { body } = await as('auditor-a').get('/v1/security/events?event_type=ACCESS_DENIED_WRONG_EMPRESA&page_size=200');
        return body.items.some((item: { request_id: string }) => item.request_id === missed);
      },
      { what: 'the event that nobody watched', timeoutMs: 60_000 },
    );
    const second = await watch('auditor-a', first.state.last);
    await until(() => second.saw(missed).length > 0, { what: 'the missed event', timeoutMs: 60_000 });
    expect(second.saw(missed)).toHaveLength(1);
    expect(second.saw(seen)).toEqual([]);
    await second.leave();
  });

  it('is counted, and reported', async () => {
    const period = `from=${new Date(Date.now() - 3_600_000).toISOString()}&to=${new Date(Date.now() + 60_000).toISOString()}`;
    const { body } = await as('auditor-a').get(`/v1/security/counters?${period}&event_type=ACCESS_DENIED_WRONG_EMPRESA`);
    expect(body.unit).toBe('minute');
    expect(body.items.length).toBeGreaterThan(0);
    await until(
      async () => {
        // what earlier tests caused may still come in between
        const counters = await as('auditor-a').get(`/v1/security/counters?${period}&event_type=ACCESS_DENIED_WRONG_EMPRESA`);
        const report = await as('auditor-a').get(`/v1/security/report?${period}`);
        const refused = report.body.refusals.find((one: { event_type: string }) => one.event_type === 'ACCESS_DENIED_WRONG_EMPRESA');
        return refused.count === counters.body.items.reduce((sum: number, { count }: { count: number }) => sum + count, 0);
      },
      { what: 'the report to say what the counters say', timeoutMs: 60_000 },
    );
    const page = await as('auditor-a').get(`/v1/security/report?${period}&format=html`, { 'accept-language': 'en' });
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toContain('sandbox');
    expect(page.text).toContain('<h1>Security report</h1>');
    expect((await as('manager-a').get(`/v1/security/report?${period}`)).body.code).toBe('no_role');
  });
});
