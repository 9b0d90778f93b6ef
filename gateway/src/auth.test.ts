import { randomUUID } from 'node:crypto';
import { until } from '@biz/testing';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { goodClaims, someId, type TestFleet, type TestGateway, testFleet, testGateway } from './testing/index.ts';

let fleet: TestFleet;
const path = `/v1/cost-centers/${someId}`;

beforeAll(async () => {
  fleet = await testFleet({ processes: ['cost-center', 'identity'] });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());
beforeEach(() => {
  fleet.reset();
  fleet.issuer.behave('keys');
});

const use = (token: string, gateway: TestGateway = fleet.gateway) =>
  gateway.send('GET', path, { headers: { authorization: `Bearer ${token}` } });
const seconds = (ms: number) => Math.floor(Date.now() / 1000) + ms;
const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

async function signedByAStranger(header: object): Promise<string> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const named = 'jwk' in header ? { jwk: await exportJWK(publicKey) } : header;
  return new SignJWT(goodClaims(fleet.issuer.issuer)).setProtectedHeader({ alg: 'RS256', kid: 'key-1', ...named }).sign(privateKey);
}

/** Fault 13. */
const forged: [string, () => Promise<string>][] = [
  ['of alg none', async () => `${base64url({ alg: 'none', kid: 'key-1' })}.${base64url(goodClaims(fleet.issuer.issuer))}.`],
  [
    'of HS256 with the public key as its secret',
    async () =>
      new SignJWT(goodClaims(fleet.issuer.issuer))
        .setProtectedHeader({ alg: 'HS256', kid: 'key-1' })
        .sign(await fleet.issuer.publicKeyPem()),
  ],
  ['signed by a stranger', () => signedByAStranger({})],
  ['that brings its key (jwk)', () => signedByAStranger({ jwk: true })],
  ['that names a key set (jku)', () => fleet.issuer.token({}, { jku: 'https://evil.example/keys' })],
  ['that names a certificate (x5u)', () => fleet.issuer.token({}, { x5u: 'https://evil.example/cert' })],
  ['of another audience', () => fleet.issuer.token({ aud: 'account' })],
  ['of no audience', () => fleet.issuer.token({ aud: undefined as never })],
  ['of another issuer', () => fleet.issuer.token({ iss: 'https://evil.example/realms/biz' })],
  ['that is an ID token', () => fleet.issuer.token({ typ: 'ID' })],
  ['that is a refresh token', () => fleet.issuer.token({ typ: 'Refresh' })],
  ['without a kind', () => fleet.issuer.token({ typ: undefined })],
  ['not valid before a minute from now', () => fleet.issuer.token({ nbf: seconds(60) })],
  ['without an end', () => fleet.issuer.token({ exp: undefined as never })],
  ['without a subject', () => fleet.issuer.token({ sub: undefined as never })],
  ['of 20 kB', () => fleet.issuer.token({ filler: 'x'.repeat(15_000) })],
  [
    'changed on the way',
    async () => (await fleet.issuer.token()).replace(/\.[^.]+\./, `.${base64url(goodClaims(fleet.issuer.issuer, { sub: 'root' }))}.`),
  ],
  ['that is garbage', async () => `${'garbage'.repeat(3)}.a.b`],
  ['that is one word', async () => 'word'],
];

describe('a token', () => {
  it.each(forged)('%s is refused with 401, told as a security event, and never logged', async (_, make) => {
    const token = await make();
    const answer = await use(token);
    expect(answer).toMatchObject({ status: 401, json: { code: 'token_invalid' } });
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="biz", error="invalid_token"');
    expect(fleet.gateway.refusals).toMatchObject([
      { code: 'token_invalid', route: '/v1/cost-centers/:id', method: 'GET', ip: '127.0.0.1' },
    ]);
    expect(fleet.services.received).toEqual([]);
    const told = fleet.gateway.lines.join('') + JSON.stringify(fleet.gateway.refusals) + answer.text;
    expect(told).toContain(answer.json.trace_id);
    for (const part of token.split('.').filter((text) => text.length > 8)) expect(told).not.toContain(part);
  });

  it('that has expired is refused as such, also when it was good before', async () => {
    expect(await use(await fleet.issuer.token({ exp: seconds(-60) }))).toMatchObject({ status: 401, json: { code: 'token_expired' } });
    await using strict = await gatewayOf({ OIDC_CLOCK_TOLERANCE_SECONDS: '0' });
    const token = await fleet.issuer.token({ exp: seconds(6) });
    expect((await use(token, strict)).status).toBe(200);
    await until(async () => (await use(token, strict)).json.code === 'token_expired', { what: 'the token to expire' });
  });

  it.each([[{}], [{ authorization: 'Basic YTpi' }], [{ authorization: 'Bearer' }], [{ authorization: 'Bearer a b' }]])(
    'is missing: %j',
    async (headers) => {
      const answer = await fleet.gateway.send('GET', path, { headers: { ...headers } });
      expect(answer).toMatchObject({ status: 401, json: { code: 'token_missing' } });
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="biz"');
    },
  );

  it('of another accepted algorithm is taken only when the setting names it', async () => {
    const token = await fleet.issuer.token();
    await using other = await gatewayOf({ OIDC_ALGORITHMS: 'ES256,PS256' });
    expect((await use(token)).status).toBe(200);
    expect((await use(token, other)).status).toBe(401);
  });
});

describe('roles and companies', () => {
  const read = (claims: object, headers = {}) => fleet.gateway.as(claims, 'GET', path, { headers });
  const company = () => fleet.services.received.at(-1)?.call.context.company_id;

  it.each([
    ['no role', { realm_access: { roles: ['offline_access'] } }, {}, 403, 'no_role'],
    ['no realm roles at all', { realm_access: undefined }, {}, 403, 'no_role'],
    ['no company', { companies: undefined }, {}, 403, 'no_company'],
    ['no company, and one named', { companies: [] }, { 'x-company-id': 'company-a' }, 403, 'no_company'],
    ['another company named', {}, { 'x-company-id': 'company-b' }, 403, 'wrong_company'],
    ['several companies and none named', { companies: ['company-a', 'company-b'] }, {}, 400, 'company_required'],
    ['a company that has no form of an id', {}, { 'x-company-id': '*' }, 400, 'invalid_request'],
    ['two companies named', {}, { 'x-company-id': 'company-a, company-b' }, 400, 'invalid_request'],
  ])('%s', async (_, claims, headers, status, code) => {
    expect(await read(claims, headers)).toMatchObject({ status, json: { code } });
    expect(fleet.services.received).toEqual([]);
    expect(fleet.gateway.refusals.map((refusal) => refusal.code)).toEqual(status === 403 ? [code] : []);
  });

  it('a method’s own roles count', async () => {
    const auditor = { realm_access: { roles: ['auditor'] } };
    expect(await fleet.gateway.as(auditor, 'POST', '/v1/cost-centers', { body: {} })).toMatchObject({
      status: 403,
      json: { code: 'no_role' },
    });
    expect(fleet.gateway.refusals[0]?.actor).toBe(goodClaims('').sub);
  });

  it('the only company is taken, the named one of several, any for platform people', async () => {
    await read({});
    expect(company()).toBe('company-a');
    await read({ companies: 'company-c' });
    expect(company()).toBe('company-c');
    await read({ companies: ['company-a', 'company-b'] }, { 'x-company-id': 'company-b' });
    expect(company()).toBe('company-b');
    await read({ companies: ['*'] }, { 'x-company-id': 'company-z' });
    expect(company()).toBe('company-z');
    await read({ companies: ['*'] });
    expect(company()).toBeNull();
    await fleet.gateway.as({ companies: ['company-a', 'company-b'] }, 'GET', '/v1/companies');
    expect(company()).toBeNull(); // the method works without a chosen one
  });
});

describe('roles of one company', () => {
  const claims = { realm_access: { roles: ['user'] }, companies: ['company-a', 'company-b'], company_roles: ['company-b:manager'] };
  const create = (over: object, company?: string) =>
    fleet.gateway.as({ ...claims, ...over }, 'POST', '/v1/cost-centers', {
      body: { code: 'A', name: 'B' },
      ...(company && { headers: { 'x-company-id': company } }),
    });

  it('count once that company is chosen, beside those of the realm', async () => {
    expect((await create({}, 'company-b')).status).toBe(201);
    expect(fleet.services.received.at(-1)?.call.context).toMatchObject({ role: 'manager', roles: ['user', 'manager'] });
    await fleet.gateway.as(claims, 'GET', path, { headers: { 'x-company-id': 'company-a' } });
    expect(fleet.services.received.at(-1)?.call.context).toMatchObject({ role: 'user', roles: ['user'] });
  });

  it.each([
    ['in another company', {}, 'company-a'],
    ['without a chosen company', {}, undefined],
    ['when the role is none of ours', { company_roles: ['company-b:owner'] }, 'company-b'],
    ['when the entry is of another form', { company_roles: ['company-b', ':manager', 'company-b:manager:x'] }, 'company-b'],
    ['in a company that the token does not list', { companies: ['company-a'], company_roles: ['company-b:manager'] }, undefined],
  ])('do not count %s', async (_, over, company) => {
    expect(await create(over, company)).toMatchObject({ status: 403, json: { code: 'no_role' } });
    expect(fleet.services.received).toEqual([]);
  });
});

describe('people of clients', () => {
  const bound = { realm_access: { roles: ['manager', 'auditor'] }, clients: ['client-1'] };

  it('reach what is narrowed to their clients, and nothing that is about the whole company', async () => {
    expect((await fleet.gateway.as(bound, 'GET', path)).status).toBe(200);
    expect(fleet.services.received.at(-1)?.call.context.clients).toEqual(['client-1']);
    expect(await fleet.gateway.as(bound, 'GET', '/v1/profiles')).toMatchObject({ status: 403, json: { code: 'no_role' } });
  });

  it('may not name another client', async () => {
    const body = { code: 'A', name: 'B', client_id: 'client-2' };
    expect(await fleet.gateway.as(bound, 'POST', '/v1/cost-centers', { body })).toMatchObject({
      status: 403,
      json: { code: 'wrong_client' },
    });
    const listed = await fleet.gateway.as(bound, 'GET', '/v1/cost-centers?client_id=client-2');
    expect(listed).toMatchObject({ status: 403, json: { code: 'wrong_client' } });
    expect(fleet.gateway.refusals.map(({ code }) => code)).toEqual(['wrong_client', 'wrong_client']);
    expect((await fleet.gateway.as(bound, 'POST', '/v1/cost-centers', { body: { ...body, client_id: 'client-1' } })).status).toBe(201);
  });
});

describe('behind a trusted proxy', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['198.51.100.1, 203.0.113.9', '203.0.113.9'], // what the client wrote itself does not count
    ['2001:db8::1', '2001:db8::1'],
    ['"; DROP', '127.0.0.1'],
  ])('the client of "%s" is %s', async (forwarded, ip) => {
    await using proxied = await gatewayOf({ TRUSTED_PROXIES: 'loopback' });
    await proxied.as({}, 'GET', path, { headers: { 'x-forwarded-for': forwarded } });
    expect(fleet.services.received.at(-1)?.call.context.ip).toBe(ip);
  });
});

describe('the key server', () => {
  it.each(['error', 'html', 'hang'] as const)(
    'answers with: %s. Known keys work, an unknown one is 503, and all is well afterwards',
    async (behaviour) => {
      await using gateway = await gatewayOf({ OIDC_JWKS_COOLDOWN_MS: '1', OIDC_JWKS_TIMEOUT_MS: '2000' });
      expect((await use(await fleet.issuer.token(), gateway)).status).toBe(200);
      fleet.issuer.behave(behaviour);
      expect((await use(await fleet.issuer.token({ jti: randomUUID() }), gateway)).status).toBe(200);
      await fleet.issuer.rotate();
      const fresh = await fleet.issuer.token();
      const refused = await use(fresh, gateway);
      expect(refused).toMatchObject({ status: 503, json: { code: 'unavailable' } });
      expect(refused.headers.get('retry-after')).toBe('2');
      fleet.issuer.behave('keys');
      await until(async () => (await use(fresh, gateway)).status === 200, { what: 'the new key to be known' });
    },
  );

  it('is named by readiness while no key is there', async () => {
    fleet.issuer.behave('html');
    await using gateway = await gatewayOf();
    expect((await use(await fleet.issuer.token(), gateway)).status).toBe(503);
    expect((await gateway.send('GET', '/health/ready')).json.away).toEqual(['identity-provider']);
  });

  it('is asked once a cooldown, however many unknown keys come', async () => {
    await using gateway = await gatewayOf({ OIDC_JWKS_COOLDOWN_MS: '3600000' });
    const old = await fleet.issuer.token();
    expect((await use(old, gateway)).status).toBe(200);
    const before = fleet.issuer.fetches();
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => use(await fleet.issuer.token({}, { kid: randomUUID() }), gateway)),
    );
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([401]));
    expect(fleet.issuer.fetches()).toBe(before);
    await using eager = await gatewayOf({ OIDC_JWKS_COOLDOWN_MS: '1' });
    await Promise.all([use(old, eager), fleet.issuer.rotate()]);
    expect((await use(await fleet.issuer.token(), eager)).status).toBe(200);
    expect((await use(old, eager)).status).toBe(200);
  });

  it('no longer has a key: it dies with the age of the keys in hand, cached tokens included', async () => {
    await using gateway = await gatewayOf({ OIDC_JWKS_MAX_AGE_MS: '400' });
    const old = await fleet.issuer.token();
    expect((await use(old, gateway)).status).toBe(200);
    await fleet.issuer.rotate(true);
    await until(async () => (await use(old, gateway)).status === 401, { what: 'the old key to be forgotten' });
  });
});

async function gatewayOf(env: Record<string, string> = {}): Promise<TestGateway> {
  const addresses = Object.entries(fleet.services.addresses).map((pair) => pair.join('='));
  return testGateway(fleet.tls, fleet.issuer, { SERVICE_ADDRESSES: addresses.join(','), ...env });
}
