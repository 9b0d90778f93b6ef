import { until } from '@biz/testing';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { auditor, type FeedFleet, feedFleet, type TestFleet, testGateway } from './testing/index.ts';

let feed: FeedFleet;
let fleet: TestFleet;

beforeAll(async () => {
  feed = await feedFleet();
  fleet = feed.fleet;
});
afterAll(() => feed?.[Symbol.asyncDispose]());
beforeEach(() => fleet.reset());

const piece = Buffer.alloc(64 * 1024, 'x');
const last = () => fleet.services.received.at(-1)?.call;

/** Gives pieces without end and counts them. */
function endless(): { made: number; ended: boolean } {
  const state = { made: 0, ended: false };
  fleet.services.handlers.set('GetFile', async function* () {
    try {
      for (;;) {
        state.made += 1;
        yield { content_type: 'text/plain', data: piece };
      }
    } finally {
      state.ended = true;
    }
  });
  return state;
}

/** Until nothing more is made. */
async function untilStill(state: { made: number }): Promise<void> {
  let before = -1;
  await until(
    () => {
      const still = state.made === before;
      before = state.made;
      return still;
    },
    { what: 'the handler to wait' },
  );
}

describe('a client', () => {
  it.each([
    ['plain', {}],
    ['compressed', { 'accept-encoding': 'gzip' }],
  ])('that reads slowly makes the service wait: %s', async (_, headers) => {
    const random = Buffer.from(Array.from({ length: piece.length }, () => Math.floor(Math.random() * 256)));
    const upto = 500;
    const state = { made: 0 };
    fleet.services.handlers.set('GetFile', async function* () {
      for (; state.made < upto; state.made += 1) yield { data: random };
    });
    const answer = await feed.open('/v1/file', headers);
    await untilStill(state);
    expect(state.made).toBeLessThan(upto - 100);
    let bytes = 0;
    for await (const chunk of answer.body) bytes += chunk.length;
    expect(state.made).toBe(upto);
    expect(bytes).toBeGreaterThanOrEqual(upto * piece.length);
  });

  it('that goes away ends the call', async () => {
    const state = endless();
    const answer = await feed.open('/v1/file');
    await answer.body[Symbol.asyncIterator]().next();
    answer.body.destroy();
    await until(() => state.ended, { what: 'the handler to have ended' });
    expect(last()?.signal.reason).toMatchObject({ code: 'cancelled' });
    const line = await until(() => fleet.gateway.lines.map((text) => JSON.parse(text)).find(({ msg }) => msg === 'answered'), {
      what: 'the line in the log',
    });
    expect(line.status).toBe(499);
  });

  it('that takes nothing is cut off', async () => {
    const state = endless();
    const env = { SERVICE_ADDRESSES: `feed=${fleet.services.addresses.feed}`, PROTO_DIRS: feed.dir, STREAM_STALL_MS: '300' };
    await using gateway = await testGateway(fleet.tls, fleet.issuer, env);
    const answer = await feed.open('/v1/file', {}, gateway);
    await until(() => state.ended, { what: 'the handler to have ended' });
    await expect(answer.body.arrayBuffer()).rejects.toThrow();
  });

  it('that only pauses is not', async () => {
    const env = { SERVICE_ADDRESSES: `feed=${fleet.services.addresses.feed}`, PROTO_DIRS: feed.dir, STREAM_STALL_MS: '50' };
    await using gateway = await testGateway(fleet.tls, fleet.issuer, env);
    const give = feed.pieces();
    give(Buffer.from('a'));
    const answer = await feed.open('/v1/file', {}, gateway);
    let passed = false;
    setTimeout(() => {
      passed = true; // several times the limit in which the service had nothing to say
    }, 400);
    await until(() => passed, { what: 'some time' });
    give(Buffer.from('b'));
    give('end');
    expect(await answer.body.text()).toBe('ab');
  });

  it('cannot ask for the head of a stream', async () => {
    const answer = await request(`${fleet.gateway.url}/v1/file`, { dispatcher: fleet.gateway.agent, method: 'HEAD' });
    expect(answer.statusCode).toBe(405);
    expect(answer.headers.allow).toBe('GET');
  });
});

describe('server-sent events', () => {
  const sse = (text: string) => ({ content_type: 'text/event-stream', data: Buffer.from(text) });

  it('come at once, uncompressed, past every cache and proxy', async () => {
    const more = Promise.withResolvers<void>();
    fleet.services.handlers.set('StreamNews', async function* () {
      yield sse('id: 1\ndata: a\n\n');
      await more.promise;
      yield sse('id: 2\ndata: b\n\n');
    });
    const answer = await feed.open('/v1/news', { 'accept-encoding': 'gzip', accept: 'text/event-stream', 'last-event-id': '0~1.2' });
    expect(answer.headers).toMatchObject({
      ...{ 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
    });
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect(fleet.services.received.at(-1)?.request).toMatchObject({ last_event_id: '0~1.2' });
    const body = answer.body[Symbol.asyncIterator]();
    expect(String((await body.next()).value)).toBe('id: 1\ndata: a\n\n');
    more.resolve();
    expect(String((await body.next()).value)).toBe('id: 2\ndata: b\n\n');
    expect((await body.next()).done).toBe(true);
  });

  it('outlive the time that a request has, and end with the token', async () => {
    const env = {
      SERVICE_ADDRESSES: `feed=${fleet.services.addresses.feed}`,
      PROTO_DIRS: feed.dir,
      HEADERS_TIMEOUT_MS: '1000',
      REQUEST_TIMEOUT_MS: '1000',
      STREAM_STALL_MS: '1000',
    };
    await using gateway = await testGateway(fleet.tls, fleet.issuer, env);
    let passed = false;
    fleet.services.handlers.set('StreamNews', async function* () {
      yield sse('id: 1\n\n');
      await until(() => passed, { what: 'some time' });
      yield sse('data: late\n\n');
    });
    const exp = Math.floor(Date.now() / 1000) + 60;
    const authorization = `Bearer ${await fleet.issuer.token({ ...auditor, exp })}`;
    const answer = feed.open('/v1/news', { authorization }, gateway);
    setTimeout(() => {
      passed = true; // three times the limits, which leave a busy machine the time for a handshake
    }, 3_000);
    expect(await (await answer).body.text()).toBe('id: 1\n\ndata: late\n\n');
    // it travels as the time that is left
    expect(Math.abs(Number(last()?.deadline) - exp * 1000)).toBeLessThan(2_000);
  });
});

describe('a gateway that stops', () => {
  it('ends streams of events at once and properly', async () => {
    const env = { SERVICE_ADDRESSES: `feed=${fleet.services.addresses.feed}`, PROTO_DIRS: feed.dir };
    const gateway = await testGateway(fleet.tls, fleet.issuer, env);
    fleet.services.handlers.set('StreamNews', async function* (_, { signal }) {
      yield { content_type: 'text/event-stream', data: Buffer.from('id: 1\n\n') };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    });
    const answer = await feed.open('/v1/news', {}, gateway);
    const text = answer.body.text();
    const stopped = gateway.running[Symbol.asyncDispose]();
    expect(await text).toBe('id: 1\n\n'); // a connection that is cut rejects
    await stopped;
    await gateway.agent.close();
  });
});
