import { loadContract } from '@biz/protos';
import { until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TestFleet, type TestGateway, type TestServices, testFleet, testGateway, testServices } from './testing/index.ts';

let fleet: TestFleet;
let second: TestServices;
let gateway: TestGateway;

beforeAll(async () => {
  fleet = await testFleet({ processes: ['team', 'security'] });
  second = await testServices(loadContract(), fleet.tls, ['team', 'security']);
  const both = (name: string) => `${name}=${fleet.services.addresses[name]}|${second.addresses[name]}`;
  gateway = await testGateway(fleet.tls, fleet.issuer, { SERVICE_ADDRESSES: `${both('team')},${both('security')}` });
});
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await second?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

const caller = { roles: ['auditor', 'manager'], companies: ['c-1'] };
const headers = async () => ({ authorization: `Bearer ${await fleet.issuer.token(caller)}` });

it('asks the instances of a service in turn', async () => {
  const asked = (services: TestServices) => services.received.filter(({ method }) => method === 'ListTeams').length;
  await until(
    async () => {
      expect((await gateway.send('GET', '/v1/teams', { headers: await headers() })).status).toBe(200);
      return asked(fleet.services) > 0 && asked(second) > 0;
    },
    { what: 'both to be asked' },
  );
});

it('is ready while one instance of each service serves', async () => {
  const away = async () => (await gateway.send('GET', '/health/ready')).json.away;
  await until(async () => (await away()) === undefined, { what: 'readiness' });
  fleet.services.servers.team?.setServing(false);
  second.servers.security?.setServing(false);
  const before = Date.now();
  // an answer is kept for a second: two that differ in nothing but their time
  await until(async () => (await away()) === undefined && Date.now() > before + 1_500, { what: 'readiness with one of each' });
  second.servers.team?.setServing(false);
  await until(async () => String(await away()) === 'team', { what: 'the service without an instance to be named' });
});

it('ends a stream of events properly when its instance stops, so that the client goes on at the other', async () => {
  const begun = Promise.withResolvers<TestServices>();
  for (const services of [fleet.services, second]) {
    services.handlers.set('StreamSecurityEvents', async function* (_, { signal }) {
      yield { content_type: 'text/event-stream', data: Buffer.from('id: 1\n\n') };
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
      begun.resolve(services);
      await aborted;
    });
  }
  const answer = gateway.send('GET', '/v1/security/stream', { headers: await headers() });
  const serving = await begun.promise;
  await serving.servers.security?.[Symbol.asyncDispose]();
  expect((await answer).text).toBe('id: 1\n\n'); // a connection that is cut rejects
});
