import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestFleet, testFleet } from './testing/index.ts';

/** A service that nobody wrote gateway code for. */
const proto = `
syntax = "proto3";
package biz.greeting.v1;
import "biz/options.proto";
import "google/api/annotations.proto";
// Greets people.
service GreetingService {
  // Greets somebody. Says how often.
  rpc Greet(GreetRequest) returns (Greeting) {
    option (google.api.http) = { post: "/v1/greetings/{language}" body: "*" };
    option (biz.method) = { roles: ["auditor"] event: "greeting.made" status: 201 };
  }
  // Finds greetings.
  rpc Find(FindRequest) returns (Greeting) {
    option (google.api.http) = { get: "/v1/greetings" };
    option (biz.method) = { roles: ["auditor"] any_company: true };
  }
}
message GreetRequest {
  string language = 1 [(biz.field) = { required: true in: ["pt", "en"] }];
  string cpf = 2 [(biz.field) = { required: true format: "cpf" example: "52998224725" }];
  string details = 3 [(biz.field) = { json: true }];
  repeated Part parts = 4;
  map<string, int64> counts = 5;
  double weight = 6;
}
message Part { int64 size = 1 [(biz.field) = { min: 1 }]; string note = 2 [(biz.field) = { json: true }]; }
message FindRequest { repeated string tags = 1; bool all = 2; string colour = 3 [(biz.field) = { header: "x-colour" in: ["red", "blue"] required: true }]; }
message Greeting { string text = 1; string details = 2 [(biz.field) = { json: true }]; Part first = 3; }
`;

let dir: string;
let fleet: TestFleet;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'biz-greeting-'));
  await writeFile(join(dir, 'greeting.proto'), proto);
  fleet = await testFleet({ processes: ['greeting'], dirs: [dir] });
});
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const auditor = { realm_access: { roles: ['auditor'] } };
const last = () => fleet.services.received.at(-1)?.request;

describe('a proto added at run time', () => {
  it('is served', async () => {
    fleet.services.handlers.set('Greet', async (request) => ({ text: 'Olá', details: request.details, first: request.parts[0] }));
    const details = '{"big":12345678901234567890,"pi":3.10}';
    const body = `{"cpf":"52998224725","details":${details},"parts":[{"size":2.0,"note":{"n":1.50}}],"counts":{"a":1e2},"weight":0.10}`;
    const answer = await fleet.gateway.as(auditor, 'POST', '/v1/greetings/pt', { body });
    expect(answer.status).toBe(201);
    expect(last()).toEqual({
      language: 'pt',
      cpf: '52998224725',
      details,
      parts: [{ size: 2, note: '{"n":1.50}' }],
      counts: { a: 100 },
      weight: 0.1,
    });
    expect(answer.text).toBe(`{"text":"Olá","details":${details},"first":{"size":2,"note":{"n":1.50}}}`);
    expect(answer.headers.get('etag')).toBeNull();
  });

  it('is validated, with the path of each fault', async () => {
    const body = { cpf: '52998224724', parts: [{ size: 1 }, { size: 0, x: 1 }], details: 'text', counts: { a: 'b' } };
    const answer = await fleet.gateway.as(auditor, 'POST', '/v1/greetings/fr', { body });
    expect(answer.status).toBe(400);
    expect(answer.json.errors.map((fault: { path: string }) => fault.path).sort()).toEqual([
      '/counts/a',
      '/cpf',
      '/details',
      '/language',
      '/parts/1/size',
      '/parts/1/x',
    ]);
  });

  it('takes lists and headers as the proto says', async () => {
    const find = (query: string, headers = {}) => fleet.gateway.as(auditor, 'GET', `/v1/greetings${query}`, { headers });
    await find('?tags=a&all=true', { 'x-colour': 'red' });
    expect(last()).toEqual({ tags: ['a'], all: true, colour: 'red' });
    await find('?tags=a&tags=b', { 'x-colour': 'blue' });
    expect(last()).toEqual({ tags: ['a', 'b'], colour: 'blue' });
    expect((await find('')).json.errors).toEqual([{ path: '/headers/x-colour', message: 'is required' }]);
    expect((await find('', { 'x-colour': 'pink' })).json.errors).toEqual([
      { path: '/headers/x-colour', message: 'is not one of red, blue' },
    ]);
  });

  it('has its roles', async () => {
    expect(await fleet.gateway.as({}, 'POST', '/v1/greetings/pt', { body: {} })).toMatchObject({ status: 403, json: { code: 'no_role' } });
  });

  it('is documented', async () => {
    const { json } = await fleet.gateway.send('GET', '/openapi.json');
    const operation = json.paths['/v1/greetings/{language}'].post;
    expect(operation).toMatchObject({
      operationId: 'GreetingService_Greet',
      summary: 'Greets somebody',
      tags: ['Greeting'],
      security: [{ bearer: [] }, { session: [] }],
    });
    expect(operation.description).toContain('Roles: auditor.');
    expect(operation.requestBody.content['application/json'].schema.properties.cpf).toEqual({
      type: 'string',
      format: 'cpf',
      minLength: 1,
      maxLength: 4000,
      examples: ['52998224725'],
    });
    expect(operation.responses[201].content['application/json'].schema).toEqual({ $ref: '#/components/schemas/greeting.v1.Greeting' });
    expect(json.tags).toContainEqual({ name: 'Greeting', description: 'Greets people.' });
  });
});

describe('the API document', () => {
  it('is valid OpenAPI 3.1 and refers to nothing that is not there', async () => {
    const { json, text } = await fleet.gateway.send('GET', '/openapi.json');
    const validator = new Validator();
    const result = await validator.validate(structuredClone(json));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    expect(validator.version).toBe('3.1');
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(json.components.schemas).toHaveProperty([name ?? '']);
    const ids = Object.values(json.paths).flatMap((path) => Object.values(path as object).map((operation) => operation.operationId));
    expect(new Set(ids).size).toBe(ids.length);
    expect(text).not.toContain('wellFormed');
  });

  it('has a route for every method, its headers and its problems', async () => {
    const { json } = await fleet.gateway.send('GET', '/openapi.json');
    const patch = json.paths['/v1/cost-centers/{id}'].patch;
    const headers = patch.parameters.filter((parameter: { in: string }) => parameter.in === 'header');
    expect(headers.map(({ name, required }: { name: string; required?: boolean }) => [name, Boolean(required)])).toEqual([
      ['If-Match', true],
      ['Idempotency-Key', false],
      ['X-CSRF', false],
      ['X-Company-Id', false],
      ['traceparent', false],
    ]);
    expect(Object.keys(patch.requestBody.content)).toEqual(['application/merge-patch+json', 'application/json']);
    for (const status of ['400', '401', '403', '404', '409', '412', '413', '415', '428', '503']) {
      expect(patch.responses[status].content['application/problem+json'].schema).toEqual({ $ref: '#/components/schemas/Problem' });
    }
    const user = json.components.schemas['identity.v1.User'];
    expect(user.properties.email.anyOf[1]).toEqual({ $ref: '#/components/schemas/Sealed' });
    expect(user.properties).not.toHaveProperty('sealed_fields');
    expect(json.paths['/v1/cost-centers/{id}/disable'].post).not.toHaveProperty('requestBody');
    expect(json.paths['/v1/cost-centers/{id}'].delete.responses[204]).not.toHaveProperty('content');
  });

  it('has a page whose scripts and styles are its own', async () => {
    const page = await fleet.gateway.send('GET', '/docs/');
    expect(page.status).toBe(200);
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain("script-src 'self' 'unsafe-inline'");
    const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(assets.length).toBeGreaterThan(3);
    expect(page.text).not.toMatch(/<script(?![^>]*src=)[^>]*>[^<]/);
    for (const asset of assets) {
      expect(asset).not.toMatch(/^(https?:)?\/\//);
      expect((await fleet.gateway.send('GET', new URL(asset, 'https://x/docs/').pathname)).status).toBe(200);
    }
    const initializer = await fleet.gateway.send('GET', '/docs/static/swagger-initializer.js');
    expect(initializer.text).toContain('/openapi.json');
    expect((await fleet.gateway.send('GET', '/v1/teams')).headers.get('content-security-policy')).toBe(
      "default-src 'none';frame-ancestors 'none'",
    );
  });
});
