import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGunzip, gunzipSync } from 'node:zlib';
import { AppError } from '@biz/errors';
import { until } from '@biz/testing';
import { Validator } from '@seriousme/openapi-schema-validator';
import { type Dispatcher, request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type TestFleet, type TestGateway, testFleet, testGateway } from './testing/index.ts';

const proto = `
syntax = "proto3";
package biz.feed.v1;
import "biz/options.proto";
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
// Streams.
service FeedService {
  // One picture.
  rpc GetPicture(Ask) returns (google.api.HttpBody) {
    option (google.api.http) = { get: "/v1/picture" };
    option (biz.method) = { roles: ["auditor"] };
  }
  // A file, piece by piece.
  rpc GetFile(Ask) returns (stream google.api.HttpBody) {
    option (google.api.http) = { get: "/v1/file" };
    option (biz.method) = { roles: ["auditor"] deadline_ms: 60000 };
  }
  // News.
  rpc StreamNews(From) returns (stream google.api.HttpBody) {
    option (google.api.http) = { get: "/v1/news" };
    option (biz.method) = { roles: ["auditor"] deadline_ms: 3600000 };
  }
  // Lines.
  rpc ListLines(Ask) returns (stream Line) {
    option (google.api.http) = { post: "/v1/lines" body: "*" };
    option (biz.method) = { roles: ["auditor"] deadline_ms: 60000 };
  }
}
message From { string last_event_id = 1 [(biz.field) = { header: "last-event-id" }]; }
message Ask { int32 upto = 1; }
message Line { int64 number = 1; string details = 2 [(biz.field) = { json: true }]; }
`;

let dir: string;
let fleet: TestFleet;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'biz-feed-'));
  await writeFile(join(dir, 'feed.proto'), proto);
  fleet = await testFleet({ processes: ['feed', 'audit'], dirs: [dir] });
});
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(() => fleet.reset());

const auditor = { realm_access: { roles: ['auditor'] } };
const piece = Buffer.alloc(64 * 1024, 'x');
const last = () => fleet.services.received.at(-1)?.call;

/** An answer whose body is read by the test itself, as it came. */
async function open(
  path: string,
  headers: Record<string, string> = {},
  gateway: TestGateway = fleet.gateway,
): Promise<Dispatcher.ResponseData> {
  const authorization = `Bearer ${await fleet.issuer.token(auditor)}`;
  return request(gateway.url + path, { dispatcher: gateway.agent, headers: { authorization, ...headers } });
}

/** Lets the test give out pieces of the file one by one. */
function pieces() {
  const waiting: PromiseWithResolvers<Buffer | AppError | 'end'>[] = [];
  const at = (index: number) => {
    waiting[index] ??= Promise.withResolvers();
    return waiting[index];
  };
  let given = 0;
  fleet.services.handlers.set('GetFile', async function* () {
    for (let index = 0; ; index += 1) {
      const next = await at(index).promise;
      if (next === 'end') return;
      if (next instanceof AppError) throw next;
      yield { content_type: 'text/csv; charset=utf-8', data: next };
    }
  });
  return (next: Buffer | AppError | 'end') => {
    at(given).resolve(next);
    given += 1;
  };
}

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

describe('a body of its own type', () => {
  it('is sent as it stands', async () => {
    const data = Buffer.from([0, 255, 254, 10, 13]);
    fleet.services.handlers.set('GetPicture', async () => ({ content_type: 'image/png', data }));
    const answer = await open('/v1/picture');
    expect(answer.headers['content-type']).toBe('image/png');
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    expect(Buffer.from(await answer.body.arrayBuffer())).toEqual(data);
    fleet.services.handlers.set('GetPicture', async () => ({}));
    expect((await open('/v1/picture')).headers['content-type']).toBe('application/octet-stream');
  });

  it('comes piece by piece, of the type of the first', async () => {
    const give = pieces();
    give(Buffer.from('a,b\r\n'));
    const answer = await open('/v1/file');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({ 'content-type': 'text/csv; charset=utf-8', 'cache-control': 'no-store' });
    const body = answer.body[Symbol.asyncIterator]();
    expect(String((await body.next()).value)).toBe('a,b\r\n');
    give(Buffer.alloc(0));
    give(Buffer.from('1,2\r\n'));
    expect(String((await body.next()).value)).toBe('1,2\r\n');
    give('end');
    expect((await body.next()).done).toBe(true);
  });

  it('may be empty', async () => {
    pieces()('end');
    const answer = await open('/v1/file');
    expect(answer.statusCode).toBe(200);
    expect(await answer.body.text()).toBe('');
  });
});

describe('other messages', () => {
  it('are lines of JSON, digit for digit', async () => {
    const details = '{"big":12345678901234567890,"pi":3.10}';
    fleet.services.handlers.set('ListLines', async function* ({ upto }) {
      for (let number = 0; number < upto; number += 1) yield { number, details };
    });
    const authorization = `Bearer ${await fleet.issuer.token(auditor)}`;
    const headers = { authorization, 'content-type': 'application/json' };
    const lines = await request(`${fleet.gateway.url}/v1/lines`, {
      dispatcher: fleet.gateway.agent,
      method: 'POST',
      headers,
      body: '{"upto":3}',
    });
    expect(lines.headers['content-type']).toBe('application/x-ndjson; charset=utf-8');
    expect(await lines.body.text()).toBe([0, 1, 2].map((number) => `{"number":${number},"details":${details}}\n`).join(''));
  });
});

describe('an error', () => {
  it.each([
    ['of the service', new AppError('conflict', 'Not now.'), 409],
    ['of a service that is away', new AppError('unavailable', 'Away.', { retryAfterSeconds: 7 }), 503],
  ])('%s before the first byte is a problem document', async (_, error, status) => {
    pieces()(error);
    const answer = await open('/v1/file', { 'accept-encoding': 'gzip' });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect(await answer.body.json()).toMatchObject({ code: error.code, detail: error.message, trace_id: answer.headers['x-trace-id'] });
  });

  it('in the request or of the caller’s roles never reaches the service', async () => {
    expect((await open('/v1/file?upto=x')).statusCode).toBe(400);
    const admin = await fleet.gateway.as({}, 'GET', '/v1/file');
    expect(admin).toMatchObject({ status: 403, json: { code: 'no_role' } });
    expect(fleet.services.received).toEqual([]);
  });

  it.each([
    ['plain', {}],
    ['compressed', { 'accept-encoding': 'gzip' }],
  ])('after the first byte breaks the transfer off: %s', async (_, headers) => {
    const give = pieces();
    give(Buffer.from('first'));
    const answer = await open('/v1/file', headers);
    const body = answer.body[Symbol.asyncIterator]();
    expect((await body.next()).value.length).toBeGreaterThan(0);
    give(new AppError('unavailable', 'The database is away.'));
    await expect(body.next()).rejects.toThrow();
    const line = await until(() => fleet.gateway.lines.map((text) => JSON.parse(text)).find(({ msg }) => msg === 'answered'), {
      what: 'the line in the log',
    });
    expect(line).toMatchObject({ route: '/v1/file', status: 503 });
    expect(fleet.gateway.lines.join('')).toContain('a stream broke off');
  });
});

describe('compression', () => {
  it('is used when the client asks for it', async () => {
    const give = pieces();
    give(piece);
    give(Buffer.from('end'));
    give('end');
    const answer = await open('/v1/file', { 'accept-encoding': 'br, gzip;q=0.5' });
    expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    expect(bytes.length).toBeLessThan(30_000);
    expect(gunzipSync(bytes).toString()).toBe(`${piece}end`);
  });

  it('holds nothing back', async () => {
    const give = pieces();
    const answer = open('/v1/file', { 'accept-encoding': 'gzip' });
    give(Buffer.from('line 1\n'));
    const text = (await answer).body.pipe(createGunzip())[Symbol.asyncIterator]();
    expect(String((await text.next()).value)).toBe('line 1\n');
    give(Buffer.from('line 2\n'));
    expect(String((await text.next()).value)).toBe('line 2\n');
    give('end');
    expect((await text.next()).done).toBe(true);
  });

  it.each(['', 'identity', 'gzip;q=0', 'br'])('is not used for "%s"', async (encoding) => {
    const give = pieces();
    give(piece);
    give('end');
    const answer = await open('/v1/file', { 'accept-encoding': encoding });
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect((await answer.body.arrayBuffer()).byteLength).toBe(piece.length);
  });
});

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
    const answer = await open('/v1/file', headers);
    await untilStill(state);
    expect(state.made).toBeLessThan(upto - 100);
    let bytes = 0;
    for await (const chunk of answer.body) bytes += chunk.length;
    expect(state.made).toBe(upto);
    expect(bytes).toBeGreaterThanOrEqual(upto * piece.length);
  });

  it('that goes away ends the call', async () => {
    const state = endless();
    const answer = await open('/v1/file');
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
    const env = { SERVICE_ADDRESSES: `feed=${fleet.services.addresses.feed}`, PROTO_DIRS: dir, STREAM_STALL_MS: '300' };
    await using gateway = await testGateway(fleet.tls, fleet.issuer, env);
    const answer = await open('/v1/file', {}, gateway);
    await until(() => state.ended, { what: 'the handler to have ended' });
    await expect(answer.body.arrayBuffer()).rejects.toThrow();
  });

  it('that only pauses is not', async () => {
    const env = { SERVICE_ADDRESSES: `feed=${fleet.services.addresses.feed}`, PROTO_DIRS: dir, STREAM_STALL_MS: '50' };
    await using gateway = await testGateway(fleet.tls, fleet.issuer, env);
    const give = pieces();
    give(Buffer.from('a'));
    const answer = await open('/v1/file', {}, gateway);
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
    const answer = await open('/v1/news', { 'accept-encoding': 'gzip', accept: 'text/event-stream', 'last-event-id': '0~1.2' });
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
      PROTO_DIRS: dir,
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
    const answer = open('/v1/news', { authorization }, gateway);
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
    const env = { SERVICE_ADDRESSES: `feed=${fleet.services.addresses.feed}`, PROTO_DIRS: dir };
    const gateway = await testGateway(fleet.tls, fleet.issuer, env);
    fleet.services.handlers.set('StreamNews', async function* (_, { signal }) {
      yield { content_type: 'text/event-stream', data: Buffer.from('id: 1\n\n') };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    });
    const answer = await open('/v1/news', {}, gateway);
    const text = answer.body.text();
    const stopped = gateway.running[Symbol.asyncDispose]();
    expect(await text).toBe('id: 1\n\n'); // a connection that is cut rejects
    await stopped;
    await gateway.agent.close();
  });
});

describe('a page that a service made', () => {
  it('may have styles and nothing else', async () => {
    fleet.services.handlers.set('GetPicture', async () => ({ content_type: 'text/html; charset=utf-8', data: Buffer.from('<p>') }));
    const policy = (await open('/v1/picture')).headers['content-security-policy'];
    expect(policy).toContain("default-src 'none'; style-src 'unsafe-inline'");
    expect(policy).toContain('sandbox');
    expect(policy).not.toContain('script');
  });
});

describe('the export of the audit', () => {
  const path = '/v1/audit/export?format=csv&cursor=0123abcd~~audit:1a.0~l~audit-0.000000000042&is_active=false&from=2026-11-20T09:00:00Z';

  it('is a stream like any other, its query typed by the proto', async () => {
    fleet.services.handlers.set('ExportRecords', async function* () {
      yield { content_type: 'text/csv; charset=utf-8', data: Buffer.from('record_id,cursor\r\n') };
    });
    const answer = await open(path);
    expect(answer.headers['content-type']).toBe('text/csv; charset=utf-8');
    expect(await answer.body.text()).toBe('record_id,cursor\r\n');
    expect(fleet.services.received.at(-1)).toMatchObject({
      method: 'ExportRecords',
      request: {
        format: 'csv',
        cursor: '0123abcd~~audit:1a.0~l~audit-0.000000000042',
        is_active: false,
        from: '2026-11-20T09:00:00Z',
      },
    });
    expect(Number(last()?.deadline) - Date.now()).toBeGreaterThan(60_000);
  });

  it('is for those who may read the audit, in a format that there is', async () => {
    const manager = { realm_access: { roles: ['manager'] } };
    expect(await fleet.gateway.as(manager, 'GET', path)).toMatchObject({ status: 403, json: { code: 'no_role' } });
    expect(await fleet.gateway.as(auditor, 'GET', '/v1/audit/export?format=xlsx&limit=3')).toMatchObject({
      status: 400,
      json: { errors: [{ path: '/limit' }, { path: '/format' }] },
    });
    expect(fleet.services.received).toEqual([]);
  });
});

describe('the API document', () => {
  it('tells of them', async () => {
    const { json } = await fleet.gateway.send('GET', '/openapi.json');
    expect((await new Validator().validate(structuredClone(json))).errors ?? []).toEqual([]);
    const answer = (path: string, verb = 'get') => json.paths[path][verb].responses[200].content;
    expect(answer('/v1/picture')).toEqual({ '*/*': { schema: { type: 'string', format: 'binary' } } });
    expect(answer('/v1/file')).toEqual({ '*/*': { schema: { type: 'string', format: 'binary' } } });
    expect(answer('/v1/news')).toEqual({ 'text/event-stream': { schema: { type: 'string' } } });
    expect(json.paths['/v1/news'].get.description).toContain('Last-Event-ID');
    expect(answer('/v1/lines', 'post')).toEqual({ 'application/x-ndjson': { schema: { $ref: '#/components/schemas/feed.v1.Line' } } });
    expect(json.paths['/v1/file'].get.description).toContain('Streamed');
    expect(json.paths['/v1/picture'].get.description).not.toContain('Streamed');
    expect(Object.keys(json.components.schemas)).not.toContain('google.api.HttpBody');
  });
});
