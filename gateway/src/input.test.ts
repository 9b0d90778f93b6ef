import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { someId, type TestFleet, testFleet } from './testing/index.ts';

let fleet: TestFleet;
const path = '/v1/cost-centers';
const one = `${path}/${someId}`;

beforeAll(async () => {
  fleet = await testFleet({
    processes: ['cost-center', 'team', 'notification'],
    // short for the tests of both, and long enough for all others on a busy machine
    env: { HEADERS_TIMEOUT_MS: '2000', REQUEST_TIMEOUT_MS: '4000' },
  });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());
beforeEach(() => fleet.reset());

const admin: typeof fleet.gateway.as = (claims, ...rest) => fleet.gateway.as(claims, ...rest);
const errors = (path: string, message: string) => ({ json: { code: 'invalid_request', errors: [{ path, message }] } });

describe('a malformed request', () => {
  it('is told every fault of every part with its path', async () => {
    const body = { name: 5, parent_id: 'no', budget_cents: -1, colour: 'red' };
    const answer = await admin({}, 'PATCH', `${path}/nothing?x=1`, { body, headers: { 'if-match': '3' } });
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request', title: 'The request does not fit the contract' } });
    expect(answer.json.errors).toHaveLength(7);
    expect(answer.json.errors).toEqual(
      expect.arrayContaining([
        { path: '/id', message: 'is not a UUID' },
        { path: '/x', message: 'is not a known field' },
        { path: '/name', message: 'must be of type string' },
        { path: '/parent_id', message: 'is not a UUID' },
        { path: '/budget_cents', message: 'must be >= 0' },
        { path: '/colour', message: 'is not a known field' },
        { path: '/headers/if-match', message: 'is not an entity tag with a version, such as "3"' },
      ]),
    );
    expect(fleet.services.received).toEqual([]);
  });

  it('has a query that is not typed as the proto says', async () => {
    expect(await admin({}, 'GET', `${path}?page_size=abc`)).toMatchObject(errors('/page_size', 'must be of type integer'));
    expect(await admin({}, 'GET', `${path}?page_size=0`)).toMatchObject(errors('/page_size', 'must be >= 1'));
    expect(await admin({}, 'GET', `${path}?status=gone`)).toMatchObject(errors('/status', 'is not one of active, disabled'));
    expect(await admin({}, 'GET', `${path}?code=A&code=B`)).toMatchObject(errors('/code', 'must be of type string'));
    expect(await admin({}, 'POST', `${path}?dry_run=true`, { body: { code: 'A', name: 'B' } })).toMatchObject(
      errors('/dry_run', 'is not a known field'),
    );
  });

  it('has a body whose types are not coerced', async () => {
    const answer = await admin({}, 'POST', path, { body: { code: 1, name: true, budget_cents: '5' } });
    expect(answer.json.errors.map((fault: { path: string }) => fault.path).sort()).toEqual(['/budget_cents', '/code', '/name']);
    expect(await admin({}, 'POST', path, { body: [1] })).toMatchObject(errors('', 'must be of type object'));
    expect(await admin({}, 'POST', path, { body: 'null' })).toMatchObject(errors('', 'must be of type object'));
    expect((await admin({}, 'POST', path)).json.errors).toEqual([
      { path: '/code', message: 'is required' },
      { path: '/name', message: 'is required' },
    ]);
  });

  it.each([
    ['1e3', 201, 1000],
    ['1.0', 201, 1],
    ['9007199254740991', 201, 9007199254740991],
    ['9007199254740993', 400, undefined],
    ['1.5', 400, undefined],
    ['1e400', 400, undefined],
  ])('a number of %s is %i', async (number, status, value) => {
    const answer = await admin({}, 'POST', path, { body: `{"code":"A","name":"B","budget_cents":${number}}` });
    expect(answer.status).toBe(status);
    if (value === undefined) expect(answer.json.errors[0].path).toBe('/budget_cents');
    else expect(fleet.services.received.at(-1)?.request.budget_cents).toBe(value);
  });

  it('has unexpected members in the body of a command', async () => {
    expect(await admin({}, 'POST', `${one}/disable`, { body: { why: 'x' } })).toMatchObject(errors('/why', 'is not a known field'));
    expect(await admin({}, 'DELETE', one, { body: { why: 'x' } })).toMatchObject(errors('/why', 'is not a known field'));
  });

  it('patches without a patch, or with null where nothing can be cleared', async () => {
    expect(await admin({}, 'PATCH', one, { headers: { 'if-match': '"1"' } })).toMatchObject(errors('', 'must be a merge patch (RFC 7396)'));
    const answer = await admin({}, 'PATCH', one, { body: { name: null }, headers: { 'if-match': '"1"' } });
    expect(answer).toMatchObject(errors('/name', 'must be of type string'));
  });
});

describe('If-Match', () => {
  it('is required for a patch: 428', async () => {
    for (const headers of [{}, { 'if-match': '*' }]) {
      expect(await admin({}, 'PATCH', one, { body: { name: 'x' }, headers })).toMatchObject({
        status: 428,
        json: { code: 'precondition_required' },
      });
    }
  });

  it.each(['3', '"x"', '"1", "2"', '""', '"-1"', '"99999999999999999999"', 'W/3'])('%s is malformed: 400', async (tag) => {
    const answer = await admin({}, 'PATCH', one, { body: { name: 'x' }, headers: { 'if-match': tag } });
    expect(answer).toMatchObject({ status: 400, json: { errors: [{ path: '/headers/if-match' }] } });
  });

  it('names a version that can be', async () => {
    expect(await admin({}, 'DELETE', one, { headers: { 'if-match': '"0"' } })).toMatchObject(errors('/headers/if-match', 'must be >= 1'));
  });
});

describe('Idempotency-Key', () => {
  it.each(['', 'x'.repeat(129), 'ção'])('%j is malformed: 400', async (key) => {
    const answer = await admin({}, 'POST', path, { body: { code: 'A', name: 'B' }, headers: { 'idempotency-key': key } });
    expect(answer).toMatchObject(errors('/headers/idempotency-key', 'must be 1 to 128 printable ASCII characters'));
  });
});

/** Faults 15 to 17. */
describe('a hostile body', () => {
  const raw = (body: string | Buffer, headers: Record<string, string> = {}) => post(path, body, headers);

  it.each([
    ['not JSON', '{"code": A}', '/code'],
    ['an empty key list', '{,}', ''],
    ['a key twice', '{"code":"A","code":"B"}', '/code'],
    ['__proto__', '{"code":"A","name":"B","__proto__":{"admin":true}}', '/__proto__'],
    ['an escaped __proto__', '{"code":"A","name":"B","\\u005f_proto__":{"admin":true}}', '/__proto__'],
    ['constructor.prototype', '{"constructor":{"prototype":{"admin":true}}}', '/constructor'],
    ['a byte order mark', '\ufeff{}', ''],
    ['a control character in a string', '{"code":"A\nB"}', '/code'],
  ])('of %s is 400 invalid_json with the path', async (_, body, where) => {
    const answer = await raw(body);
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_json', errors: [{ path: where }] } });
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it('of bytes that are not UTF-8 is 400', async () => {
    expect(await raw(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]))).toMatchObject({ status: 400, json: { code: 'invalid_json' } });
  });

  it.each(['[', '{"a":'])('of 10,000 levels (%s) is 400', async (open) => {
    const close = open === '[' ? ']' : '}';
    const answer = await raw(`${open.repeat(10_000)}1${close.repeat(10_000)}`);
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_json' } });
    expect(answer.text.length).toBeLessThan(2_000);
  });

  it('with query operators is 400, in the body and in the query', async () => {
    expect((await raw('{"code":{"$ne":null},"name":{"$where":"1"}}')).json.errors.map((fault: { path: string }) => fault.path)).toEqual([
      '/code',
      '/name',
    ]);
    for (const query of ['status[$ne]=x', '$where=1', 'code.$ne=1', '__proto__=1', 'constructor[prototype]=1']) {
      expect(await admin({}, 'GET', `${path}?${query}`)).toMatchObject({ status: 400, json: { code: 'invalid_request' } });
    }
  });

  it('with a lone surrogate is 400', async () => {
    expect(await raw('{"code":"A","name":"\\ud800"}')).toMatchObject(errors('/name', 'holds a lone surrogate, which is not text'));
  });

  it('with thousands of faults is told the first of them', async () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`x${index}`, 1]));
    const answer = await raw(JSON.stringify(many));
    expect(answer.json.errors).toHaveLength(50);
  });

  it('of 10 MB is 413, announced or not', async () => {
    const big = Buffer.alloc(10 * 1024 * 1024, 0x20);
    // the answer may be lost when the connection is closed under a client that still sends (RFC 9112, 9.6)
    expect(await until(() => raw(big), { what: 'the answer' })).toMatchObject({ status: 413, json: { code: 'too_large' } });
    const chunks = async function* () {
      for (let at = 0; at < big.length; at += 65_536) yield big.subarray(at, at + 65_536);
    };
    const headers = { authorization: `Bearer ${await fleet.issuer.token()}`, 'content-type': 'application/json' };
    const answer = await fleet.gateway.send('POST', path, { headers, body: chunks(), duplex: 'half' }).catch((error: Error) => error);
    expect(answer instanceof Error || answer.status === 413).toBe(true);
    expect((await admin({}, 'GET', one)).status).toBe(200);
  });

  it.each([
    ['compressed', gzipSync('{}'), { 'content-encoding': 'gzip' }],
    ['of a form', 'a=1', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['of text', '{}', { 'content-type': 'text/plain' }],
    ['of no kind', '{}', { 'content-type': '' }],
    ['of a broken kind', '{}', { 'content-type': 'json' }],
    ['of a merge patch where none is taken', '{}', { 'content-type': 'application/merge-patch+json' }],
    ['in another charset', '{}', { 'content-type': 'application/json; charset=iso-8859-1' }],
  ])('%s is 415', async (_, body, headers) => {
    expect(await raw(body, headers)).toMatchObject({ status: 415, json: { code: 'unsupported_media_type' } });
  });
});

describe('a path', () => {
  it.each(['/', '/v1', '/v1/nothing', `${one}/`, '/v1/cost-centers//', `/V1/cost-centers/${someId}`])(
    '%s is unknown: 404',
    async (unknown) => {
      const answer = await fleet.gateway.send('GET', unknown);
      expect(answer).toMatchObject({ status: 404, json: { code: 'not_found', status: 404 } });
      expect(answer.headers.get('x-trace-id')).toBe(answer.json.trace_id);
    },
  );

  it.each(['%zz', 'x'.repeat(600)])('that is not well-formed is 400: %s', async (id) => {
    const answer = await fleet.gateway.send('GET', `${path}/${id}`);
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request' } });
    expect(answer.headers.get('x-trace-id')).toBe(answer.json.trace_id);
  });

  it.each([
    ['PUT', path, 'GET, HEAD, POST'],
    ['DELETE', path, 'GET, HEAD, POST'],
    ['POST', one, 'GET, HEAD, PATCH, DELETE'],
    ['GET', `${one}/disable`, 'POST'],
    ['OPTIONS', one, 'GET, HEAD, PATCH, DELETE'],
    ['POST', '/health/live', 'GET, HEAD'],
    ['DELETE', '/openapi.json', 'GET, HEAD'],
  ])('with a method it does not have is 405: %s %s', async (method, url, allow) => {
    const answer = await fleet.gateway.send(method, url);
    expect(answer).toMatchObject({ status: 405, json: { code: 'method_not_allowed' } });
    expect(answer.headers.get('allow')).toBe(allow);
  });
});

describe('a connection', () => {
  /** What the gateway says on a bare TLS connection that sends `text` and then waits. */
  const talk = (text: string) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port: Number(new URL(fleet.gateway.url).port),
        servername: 'localhost',
        ca: readFileSync(fleet.tls.caFile),
      });
      let heard = '';
      socket.on('secureConnect', () => socket.write(text));
      socket.on('data', (bytes) => {
        heard += bytes;
      });
      socket.on('close', () => resolve(heard));
      socket.on('error', reject);
    });

  it.each([
    ['whose headers never end', 'GET /v1/teams HTTP/1.1\r\nhost: x\r\n', 408, 'timeout'],
    ['whose body never comes', 'POST /v1/teams HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n', 401, 'token_missing'],
    ['that is not HTTP', 'hello\r\n\r\n', 400, 'invalid_request'],
    ['with 40 kB of headers', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`, 431, 'too_large'],
    ['with two lengths', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400, 'invalid_request'],
  ])('%s gets a problem document and is closed', async (_, text, status, code) => {
    const heard = await talk(text);
    expect(heard).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(heard).toContain('application/problem+json');
    expect(heard).toContain(`"code":"${code}"`);
    expect(heard).toMatch(/x-trace-id: [0-9a-f]{32}/);
    expect(heard).toMatch(/strict-transport-security: max-age=31536000; includeSubDomains/i);
  });

  it('whose body stops half-way is answered 408', async () => {
    const authorization = `authorization: Bearer ${await fleet.issuer.token()}`;
    const heard = await talk(
      `POST ${path} HTTP/1.1\r\nhost: x\r\n${authorization}\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{"c"`,
    );
    expect(heard).toMatch(/^HTTP\/1.1 408 /);
  });
});

async function post(url: string, body: string | Buffer, headers: Record<string, string>) {
  const all = { authorization: `Bearer ${await fleet.issuer.token()}`, 'content-type': 'application/json', ...headers };
  return fleet.gateway.send('POST', url, { headers: all, body });
}
