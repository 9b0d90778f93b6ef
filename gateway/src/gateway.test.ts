import { loadContract } from '@biz/protos';
import { type TestTls, testTls } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { someId, type TestGateway, type TestIssuer, type TestServices, testGateway, testIssuer, testServices } from './testing/index.ts';

const contract = loadContract();
const processes = ['cost-center', 'team', 'identity'];
let tls: TestTls;
let issuer: TestIssuer;
let services: TestServices;
let gateway: TestGateway;

beforeAll(async () => {
  tls = await testTls(['gateway', ...processes]);
  issuer = await testIssuer();
  services = await testServices(contract, tls, processes);
  const addresses = Object.entries(services.addresses).map((pair) => pair.join('='));
  gateway = await testGateway(tls, issuer, { SERVICE_ADDRESSES: addresses.join(',') });
}, 60_000);

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await services?.[Symbol.asyncDispose]();
  await issuer?.[Symbol.asyncDispose]();
  await tls?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  services.received.length = 0;
  services.handlers.clear();
  gateway.refusals.length = 0;
});

const last = () => services.received.at(-1);

describe('a route', () => {
  it('creates: 201 with location, entity tag and trace', async () => {
    const answer = await gateway.as({}, 'POST', '/v1/cost-centers', { body: { code: 'A', name: 'Loja', budget_cents: 5, parent_id: null } });
    expect(answer.json).toMatchObject({ code: 'A', id: someId });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe(`/v1/cost-centers/${someId}`);
  });
});
