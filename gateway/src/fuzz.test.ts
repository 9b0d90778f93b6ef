import { loadContract, type MethodModel } from '@biz/protos';
import { seeded } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Answer, someId, type TestFleet, testFleet } from './testing/index.ts';

/** Repeat a run with FUZZ_SEED. */
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const requests = 1_000;
const methods = loadContract()
  .services.flatMap((service) => service.methods)
  .filter((method) => method.http && !method.responseStream);
const processes = [...new Set(methods.map((method) => method.service.process))];

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await testFleet({ processes });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

const random = seeded(seed);
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;

const odd = [
  '',
  ' ',
  '\0',
  '\r\nx: y',
  '%00',
  '../..',
  '$where',
  '{"$ne":1}',
  '__proto__',
  '\u202e',
  '\u{1F9A9}'.repeat(50),
  'a'.repeat(5_000),
  '-1',
  '1e999',
  'null',
  someId,
];
const values: unknown[] = [null, true, 0, -1, 0.5, 2 ** 53, 1e308, [], [null], {}, { $gt: '' }, { a: [{ b: {} }] }, ...odd];

function body(method: MethodModel): string {
  if (random() < 0.15)
    return pick([
      '',
      '{',
      '[]',
      'null',
      '"x"',
      '1e400',
      '{"a":1,"a":2}',
      '{"__proto__":{}}',
      '['.repeat(2_000),
      '\ufeff{}',
      '{"a":"\\ud800"}',
    ]);
  const names = [...method.request.fields.map((field) => field.name), ...odd];
  return JSON.stringify(Object.fromEntries(Array.from({ length: Math.floor(random() * 7) }, () => [pick(names), pick(values)])));
}

function headers(): Record<string, string> {
  const names = [
    'if-match',
    'idempotency-key',
    'x-company-id',
    'x-request-id',
    'traceparent',
    'x-forwarded-for',
    'accept',
    'content-encoding',
    'x-http-method-override',
  ];
  const sent = names
    .filter(() => random() < 0.15)
    .map((name) => [
      name,
      pick(odd)
        .replaceAll(/[^\x20-\x7e]/g, '?')
        .slice(0, 1_000),
    ]);
  const tag = random() < 0.6 ? { 'if-match': pick(['"1"', '"0"', '*', 'W/"2"', '1', '"x"']) } : {};
  return {
    'content-type': pick(['application/json', 'application/json', 'application/merge-patch+json', 'text/plain', 'x']),
    ...tag,
    ...Object.fromEntries(sent),
  };
}

function target(method: MethodModel): string {
  const path = (method.http?.path ?? '').replaceAll(/\{[^}]+\}/g, () => (random() < 0.5 ? someId : encodeURIComponent(pick(odd)) || 'x'));
  const name = pick([...method.request.fields.map((field) => field.name), ...odd]);
  return random() < 0.5 ? path : `${path}?${encodeURIComponent(name)}=${encodeURIComponent(pick(odd))}`;
}

it(`answers ${requests} random requests at every route, none with a crash (seed ${seed})`, async () => {
  const token = await fleet.issuer.token({ realm_access: { roles: ['admin', 'manager', 'auditor', 'dpo', 'user'] } });
  const seen = new Map<string, number>();
  for (let sent = 0; sent < requests; sent += 1) {
    const method = methods[sent % methods.length] as MethodModel;
    const verb = method.http?.verb.toUpperCase() ?? '';
    const what = {
      url: target(method),
      headers: { ...headers(), ...(random() < 0.95 ? { authorization: `Bearer ${token}` } : {}) },
      body: body(method),
    };
    const answer = await fleet.gateway.send(verb, what.url, { headers: what.headers, ...(verb === 'GET' ? {} : { body: what.body }) });
    check(answer, `${sent}: ${verb} ${JSON.stringify(what).slice(0, 2_000)} was answered ${answer.status} ${answer.text.slice(0, 500)}`);
    seen.set(`${answer.status}`, (seen.get(`${answer.status}`) ?? 0) + 1);
  }
  expect(seen.get('400') ?? 0).toBeGreaterThan(requests / 10);
  expect(seen.get('200') ?? 0).toBeGreaterThan(0);
  expect(({} as Record<string, unknown>).$gt).toBeUndefined();
  expect((await fleet.gateway.send('GET', '/health/live')).status).toBe(200);
}, 240_000);

function check(answer: Answer, what: string): void {
  expect(answer.status, what).toBeLessThan(500);
  expect(answer.headers.get('x-trace-id'), what).toMatch(/^[0-9a-f]{32}$/);
  if (answer.status < 400) return;
  expect(answer.headers.get('content-type'), what).toBe('application/problem+json; charset=utf-8');
  expect(answer.json, what).toMatchObject({ status: answer.status, code: expect.any(String), trace_id: answer.headers.get('x-trace-id') });
}
