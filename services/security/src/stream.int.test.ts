import { randomUUID } from 'node:crypto';
import type { CallContext, RpcClient } from '@biz/rpc';
import type { RunningService } from '@biz/service';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { person, type TestFleet, testFleet } from './test-fleet.ts';

const streamService = 'biz.security.v1.StreamService';
const company_id = randomUUID();
const other = randomUUID();
const admin = person(['admin'], [company_id]);
const platform = person(['admin'], ['*']);

let fleet: TestFleet;
/** Two instances of one group, on one database. */
let instances: (RunningService & { client: RpcClient })[];
let streams: RpcClient[];

beforeAll(async () => {
  fleet = await testFleet();
  const settings = { STREAM_POLL_MS: '20', STREAMS_PER_SUBJECT: '3' };
  instances = [await fleet.start(settings), await fleet.start(settings)];
  streams = instances.map(({ address }) => fleet.client(address, streamService));
});

afterAll(async () => {
  for (const client of [...(streams ?? []), ...(instances ?? []).map(({ client }) => client)]) client[Symbol.dispose]();
  for (const part of [...(instances ?? []), fleet]) await part?.[Symbol.asyncDispose]();
});

interface Seen {
  event_id: string;
  event_type?: string;
  company_id: string | null;
  user_email: unknown;
  kind?: string;
  id?: string;
}

/** An open stream of an instance: what came, until it is left. */
async function open(instance: number, context: CallContext, lastId = '') {
  const leaving = new AbortController();
  const state = { last: lastId, seen: [] as Seen[], error: undefined as unknown };
  const stream = streams[instance] as RpcClient;
  const messages = stream.stream<{ content_type: string; data: Buffer }>(
    'StreamSecurityEvents',
    { last_event_id: lastId },
    { ...context, companies: [...context.companies] },
    { signal: leaving.signal },
  );
  const read = (async () => {
    for await (const { content_type, data } of messages) {
      expect(content_type).toBe('text/event-stream');
      for (const [, text] of data.toString().matchAll(/^data: (.*)$/gm)) state.seen.push(JSON.parse(text as string));
      for (const [, id] of data.toString().matchAll(/^id: (.*)$/gm)) state.last = id as string;
    }
  })().catch((error: unknown) => {
    state.error = error;
  });
  await until(() => state.last !== lastId || state.error, { what: 'the stream to begin' });
  /** But for alerts, and for what the streams themselves are recorded as. */
  const events = () => state.seen.filter(({ event_type }) => event_type !== undefined && event_type !== 'ACCESS_GRANTED');
  return {
    state,
    events,
    ids: () => events().map(({ event_id }) => event_id),
    async leave() {
      leaving.abort();
      await read;
    },
  };
}

describe('a stream', () => {
  it('goes on at another instance, without a loss and without doubles, while events come in', async () => {
    const published: string[] = [];
    let publishing = true;
    const begun = await open(0, platform);
    let { last } = begun.state;
    await begun.leave();
    const work = (async () => {
      for (let round = 0; round < 25; round += 1) {
        const drafts = Array.from({ length: 8 }, (_, n) => ({ type: 'LOGIN_FAILED' as const, company_id, user_id: `u-${n}` }));
        published.push(...(await fleet.publish(...drafts)));
      }
      publishing = false;
    })();
    const got: string[] = [];
    for (let turn = 0; publishing || got.length < published.length; turn += 1) {
      const before = got.length;
      const one = await open(turn % 2, platform, last);
      await until(() => one.ids().length >= 10 || (!publishing && before + one.ids().length >= published.length), { what: 'some events' });
      await one.leave();
      got.push(...one.ids());
      ({ last } = one.state);
    }
    await work;
    expect(new Set(got).size).toBe(got.length);
    expect([...got].sort()).toEqual([...published].sort());
  });

  it('shows companies their own; no other, and nobody known only to the platform', async () => {
    const [own, all, foreign] = await Promise.all([open(0, admin), open(1, platform), open(1, person(['dpo'], [randomUUID()]))]);
    const ids = await fleet.publish(
      { type: 'LOGOUT', company_id: other, user_id: 'u-2' },
      { type: 'LOGIN_FAILED' },
      { type: 'LOGOUT', company_id, user_id: 'u-1', email: 'ana@example.com' },
    );
    await until(() => all.ids().length === 3 && own.ids().length === 1, { what: 'the events' });
    expect([...all.ids()].sort()).toEqual([...ids].sort());
    expect(own.events()).toEqual([expect.objectContaining({ event_id: ids[2], company_id, user_email: { sealed: true } })]);
    expect(foreign.events()).toEqual([]);
    for (const one of [own, all, foreign]) await one.leave();
  });

  it('that opens personal data is recorded before it does; what it opens is what a list opens', async () => {
    const dpo = { ...person(['dpo'], [company_id]), actor: { id: 'p-dpo', type: 'user' as const } };
    const one = await open(0, dpo);
    await fleet.publish({ type: 'LOGIN_FAILED', company_id, user_id: 'u-7', email: 'eva@example.com' });
    await until(() => one.state.seen.some(({ user_email }) => user_email === 'eva@example.com'), { what: 'the opened event' });
    const kept = fleet.database.db.collection('handed_over');
    expect(await kept.countDocuments({ type: 'security.access_granted', 'meta.owner_id': 'p-dpo' })).toBe(1);
    await one.leave();
  });

  it('shows alerts, opened and acknowledged, to their company', async () => {
    const company = randomUUID();
    const auditor = person(['auditor'], [company]);
    const [own, foreign] = await Promise.all([open(0, auditor), open(1, admin)]);
    await fleet.publish({ type: 'ACCESS_DENIED_WRONG_EMPRESA', company_id: company, user_id: 'u-9' });
    const alerts = () => own.state.seen.filter(({ kind }) => kind === 'cross_tenant');
    await until(() => alerts().length === 1, { what: 'the alert' });
    expect(alerts()).toMatchObject([{ status: 'open', company_id: company, user_id: 'u-9', acknowledged_at: null }]);
    const client = fleet.client(instances[1]?.address ?? '', 'biz.security.v1.SecurityAlertService');
    await client.call('AcknowledgeSecurityAlert', { id: alerts()[0]?.id, note: 'seen' }, auditor);
    client[Symbol.dispose]();
    await until(() => alerts().length === 2, { what: 'its acknowledgement' });
    expect(alerts()[1]).toMatchObject({ status: 'acknowledged', id: alerts()[0]?.id });
    expect(foreign.state.seen.filter(({ company_id }) => company_id === company)).toEqual([]);
    for (const one of [own, foreign]) await one.leave();
  });

  it('is refused beyond the limit of a person, of whom a closed one is no more; and with an id that was never given', async () => {
    const mine = { ...admin, actor: { id: 'p-many', type: 'user' as const } };
    const held = await Promise.all([open(0, mine), open(0, mine), open(0, mine)]);
    const fourth = await open(0, mine);
    expect(fourth.state.error).toMatchObject({ code: 'rate_limited' });
    await held[0]?.leave();
    await until(
      async () => {
        const again = await open(0, mine);
        await again.leave();
        return (again.state.error as { code?: string } | undefined)?.code !== 'rate_limited';
      },
      { what: 'a place', intervalMs: 100 },
    );
    for (const one of held.slice(1)) await one.leave();
    expect((await open(0, mine, 'not an id')).state.error).toMatchObject({ code: 'invalid_request' });
    expect((await open(0, person(['manager'], [company_id]))).state.error).toMatchObject({ code: 'no_role' });
  });
});
