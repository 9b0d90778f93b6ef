import { AppError } from '@biz/errors';
import { until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { someId, type TestFleet, testFleet } from './testing/index.ts';

let fleet: TestFleet;
const path = '/v1/cost-centers';
const one = `${path}/${someId}`;

beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center', 'team', 'identity'] });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());
beforeEach(() => fleet.reset());

const admin: typeof fleet.gateway.as = (claims, ...rest) => fleet.gateway.as(claims, ...rest);
const last = () => fleet.services.received.at(-1);

describe('a route of the contract', () => {
  it('creates: 201 with location, entity tag and trace', async () => {
    const answer = await admin({}, 'POST', path, { body: { code: 'A', name: 'Loja', budget_cents: 5, parent_id: null } });
    expect(answer.status).toBe(201);
    expect(answer.json).toMatchObject({ id: someId, code: 'A', name: 'Loja', budget_cents: 5, version: 1 });
    expect(answer.headers.get('location')).toBe(one);
    expect(answer.headers.get('etag')).toBe('"1"');
    expect(answer.headers.get('x-trace-id')).toBe(last()?.call.context.trace_id);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(last()?.request).toEqual({ code: 'A', name: 'Loja', budget_cents: 5 });
  });

  it('reads one and lists, with query values as the proto types them', async () => {
    const read = await admin({}, 'GET', one);
    expect(read.status).toBe(200);
    expect(read.headers.get('etag')).toBe('"1"');
    expect(last()).toMatchObject({ method: 'GetCostCenter', request: { id: someId } });
    const list = await admin({}, 'GET', `${path}?page_size=20&status=active&code=${encodeURIComponent('A/1')}`);
    expect(list).toMatchObject({ status: 200, json: { items: [] } });
    expect(list.headers.get('etag')).toBeNull();
    expect(last()?.request).toEqual({ page_size: 20, status: 'active', code: 'A/1' });
  });

  it('patches: the keys become the mask, null clears, If-Match is the version', async () => {
    for (const type of ['application/merge-patch+json', 'application/json; charset=utf-8']) {
      const headers = { 'if-match': 'W/"7"', 'content-type': type };
      const answer = await admin({}, 'PATCH', one, { body: { name: 'Nova', parent_id: null }, headers });
      expect(answer.status).toBe(200);
      expect(last()?.request).toEqual({ id: someId, expected_version: 7, name: 'Nova', update_mask: { paths: ['name', 'parent_id'] } });
    }
  });

  it.each([
    ['without a body', {}],
    ['with an empty body', { body: '' }],
    ['with an empty form, as curl -d "" sends it', { body: '', headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
    ['with an empty object', { body: {} }],
  ])('takes a command %s', async (_, options) => {
    expect(await admin({}, 'POST', `${one}/disable`, options)).toMatchObject({ status: 200 });
    expect(last()).toMatchObject({ method: 'DisableCostCenter', request: { id: someId } });
  });

  it('deletes: 204 and nothing else', async () => {
    const answer = await admin({}, 'DELETE', one, { headers: { 'if-match': '*' } });
    expect(answer).toMatchObject({ status: 204, text: '' });
    expect(answer.headers.get('x-trace-id')).toMatch(/^[0-9a-f]{32}$/);
  });

  it('locates what a sub-resource changed at the entity that holds it', async () => {
    const answer = await admin({}, 'POST', `/v1/teams/${someId}/members`, { body: { user_id: someId, role: 'member' } });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe(`/v1/teams/${someId}`);
  });

  it('shows what the service did not open', async () => {
    fleet.services.handlers.set('GetUser', async () => ({ id: someId, version: 2, sealed_fields: ['email'], erased_fields: ['name'] }));
    const answer = await admin({}, 'GET', `/v1/users/${someId}`);
    expect(answer.json).toMatchObject({ email: { sealed: true }, name: { erased: true } });
    expect(answer.json).not.toHaveProperty('sealed_fields');
  });
});

describe('the call context', () => {
  it('carries caller, company, role, key, address and trace', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const claims = { user_id: 'user-1', realm_access: { roles: ['manager', 'uma_authorization'] }, clients: ['client-1'] };
    const headers = { traceparent, 'idempotency-key': 'k 1', 'x-request-id': 'r-1', 'x-forwarded-for': '203.0.113.9' };
    const answer = await admin(claims, 'POST', path, { body: { code: 'A', name: 'B' }, headers });
    expect(answer.headers.get('x-request-id')).toBe('r-1');
    expect(last()?.call).toMatchObject({
      peer: 'gateway',
      context: {
        actor: { id: 'user-1', type: 'user' },
        role: 'manager',
        roles: ['manager'],
        company_id: 'company-a',
        companies: ['company-a'],
        clients: ['client-1'],
        ip: '127.0.0.1', // no proxy is trusted by default
        trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
        request_id: 'r-1',
        idempotency_key: 'k 1',
      },
    });
    expect(last()?.call.context.traceparent).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$/);
  });

  it('makes a request id of its own when the given one could not be logged as it is', async () => {
    const answer = await admin({}, 'GET', one, { headers: { 'x-request-id': 'a "b"' } });
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('gives the rest of the time, and ends the call when the client goes away', async () => {
    const seen: { aborted?: boolean; ms?: number } = {};
    fleet.services.handlers.set('CreateCostCenter', async (_, call) => {
      seen.ms = call.deadline.getTime() - Date.now();
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
      seen.aborted = true;
      return {};
    });
    const client = new AbortController();
    const authorization = `Bearer ${await fleet.issuer.token()}`;
    const headers = { authorization, 'content-type': 'application/json' };
    const request = fleet.gateway.send('POST', path, { headers, body: '{"code":"A","name":"B"}', signal: client.signal });
    await until(() => seen.ms, { what: 'the call to arrive' });
    client.abort();
    await expect(request).rejects.toThrow();
    await until(() => seen.aborted, { what: 'the call to be cancelled' });
    expect(seen.ms).toBeLessThanOrEqual(10_000);
  });
});

describe('what a service says', () => {
  it.each([
    [new AppError('not_found', 'No such cost centre.'), 404],
    [new AppError('version_mismatch', 'The version is 4.'), 412],
    [new AppError('already_exists', 'The code is taken.', { faults: [{ path: '/code', message: 'is taken' }] }), 409],
    [new AppError('unavailable', 'The database is away.', { retryAfterSeconds: 7 }), 503],
    [new Error('secret text'), 500],
  ])('becomes a problem document: %s', async (error, status) => {
    fleet.services.handlers.set('GetCostCenter', async () => {
      throw error;
    });
    const answer = await admin({}, 'GET', one);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.json).toMatchObject({
      status,
      trace_id: answer.headers.get('x-trace-id'),
      type: `urn:biz-retail:error:${answer.json.code}`,
    });
    if (error instanceof AppError) expect(answer.json).toMatchObject({ code: error.code, detail: error.message });
    expect(answer.text).not.toContain('secret text');
    if (status === 503) expect(answer.headers.get('retry-after')).toBe('7');
    if (status === 409) expect(answer.json.errors).toEqual([{ path: '/code', message: 'is taken' }]);
  });

  it('is 503 with Retry-After when its process has no address, or is gone', async () => {
    const absent = await admin({}, 'GET', '/v1/notifications');
    expect(absent).toMatchObject({ status: 503, json: { code: 'unavailable' } });
    expect(absent.headers.get('retry-after')).toBe('2');
    await fleet.services.servers.identity?.[Symbol.asyncDispose]();
    const gone = await admin({}, 'GET', `/v1/users/${someId}`);
    expect(gone).toMatchObject({ status: 503, json: { code: 'unavailable' } });
    expect(gone.headers.get('retry-after')).toBe('2');
  });
});

describe('readiness', () => {
  it('names what is away', async () => {
    expect((await fleet.gateway.send('GET', '/health/live')).status).toBe(200);
    fleet.services.servers.team?.setServing(false);
    const answer = await until(
      async () => {
        const ready = await fleet.gateway.send('GET', '/health/ready');
        return ready.json.away?.length === 2 ? ready : undefined;
      },
      { what: 'both to be named' },
    );
    expect(answer).toMatchObject({ status: 503, json: { code: 'unavailable', away: ['team', 'identity'] } });
    expect(answer.headers.get('retry-after')).toBe('2');
  });
});

describe('the log', () => {
  it('has one line a request, with the pattern of its path and without what people send', async () => {
    await admin({ sub: 'user-7' }, 'GET', `${path}?code=52998224725`);
    // a line comes a moment after its answer: also those of the tests before
    const line = await until(
      () => fleet.gateway.lines.map((text) => JSON.parse(text)).find(({ msg, route }) => msg === 'answered' && route === path),
      { what: 'the line' },
    );
    expect(line).toMatchObject({
      method: 'GET',
      status: 200,
      actor: 'user-7',
      trace_id: expect.any(String),
      ms: expect.any(Number),
    });
    expect(fleet.gateway.lines.join('')).not.toContain('52998224725');
  });
});
