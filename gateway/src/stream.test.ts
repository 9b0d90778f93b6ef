import { createGunzip, gunzipSync } from 'node:zlib';
import { AppError } from '@biz/errors';
import { until } from '@biz/testing';
import { Validator } from '@seriousme/openapi-schema-validator';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { auditor, type FeedFleet, feedFleet, type TestFleet } from './testing/index.ts';

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

describe('a body of its own type', () => {
  it('is sent as it stands', async () => {
    const data = Buffer.from([0, 255, 254, 10, 13]);
    fleet.services.handlers.set('GetPicture', async () => ({ content_type: 'image/png', data }));
    const answer = await feed.open('/v1/picture');
    expect(answer.headers['content-type']).toBe('image/png');
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    expect(Buffer.from(await answer.body.arrayBuffer())).toEqual(data);
    fleet.services.handlers.set('GetPicture', async () => ({}));
    expect((await feed.open('/v1/picture')).headers['content-type']).toBe('application/octet-stream');
  });

  it('comes piece by piece, of the type of the first', async () => {
    const give = feed.pieces();
    give(Buffer.from('a,b\r\n'));
    const answer = await feed.open('/v1/file');
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
    feed.pieces()('end');
    const answer = await feed.open('/v1/file');
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
    feed.pieces()(error);
    const answer = await feed.open('/v1/file', { 'accept-encoding': 'gzip' });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect(await answer.body.json()).toMatchObject({ code: error.code, detail: error.message, trace_id: answer.headers['x-trace-id'] });
  });

  it('in the request or of the caller’s roles never reaches the service', async () => {
    expect((await feed.open('/v1/file?upto=x')).statusCode).toBe(400);
    const admin = await fleet.gateway.as({}, 'GET', '/v1/file');
    expect(admin).toMatchObject({ status: 403, json: { code: 'no_role' } });
    expect(fleet.services.received).toEqual([]);
  });

  it.each([
    ['plain', {}],
    ['compressed', { 'accept-encoding': 'gzip' }],
  ])('after the first byte breaks the transfer off: %s', async (_, headers) => {
    const give = feed.pieces();
    give(Buffer.from('first'));
    const answer = await feed.open('/v1/file', headers);
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
    const give = feed.pieces();
    give(piece);
    give(Buffer.from('end'));
    give('end');
    const answer = await feed.open('/v1/file', { 'accept-encoding': 'br, gzip;q=0.5' });
    expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    expect(bytes.length).toBeLessThan(30_000);
    expect(gunzipSync(bytes).toString()).toBe(`${piece}end`);
  });

  it('holds nothing back', async () => {
    const give = feed.pieces();
    const answer = feed.open('/v1/file', { 'accept-encoding': 'gzip' });
    give(Buffer.from('line 1\n'));
    const text = (await answer).body.pipe(createGunzip())[Symbol.asyncIterator]();
    expect(String((await text.next()).value)).toBe('line 1\n');
    give(Buffer.from('line 2\n'));
    expect(String((await text.next()).value)).toBe('line 2\n');
    give('end');
    expect((await text.next()).done).toBe(true);
  });

  it.each(['', 'identity', 'gzip;q=0', 'br'])('is not used for "%s"', async (encoding) => {
    const give = feed.pieces();
    give(piece);
    give('end');
    const answer = await feed.open('/v1/file', { 'accept-encoding': encoding });
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect((await answer.body.arrayBuffer()).byteLength).toBe(piece.length);
  });
});

describe('a page that a service made', () => {
  it('may have styles and nothing else', async () => {
    fleet.services.handlers.set('GetPicture', async () => ({ content_type: 'text/html; charset=utf-8', data: Buffer.from('<p>') }));
    const policy = (await feed.open('/v1/picture')).headers['content-security-policy'];
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
    const answer = await feed.open(path);
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
