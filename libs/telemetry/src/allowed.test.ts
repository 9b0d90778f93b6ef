import { describe, expect, it } from 'vitest';
import { allowed, allowedNames, allowedSpanName, type Subject } from './allowed.ts';

const subjects: Subject[] = ['span', 'log', 'label', 'resource'];

/** What is put on by instrumentations, by mistake, or by somebody who tries. */
const personal = [
  'Zuleica Prado',
  'zuleica@example.com',
  '529.982.247-25',
  '52998224725',
  '+55 11 98877-6655',
  'Rua das Flores, 10',
  '203.0.113.9',
  'Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln',
  '/v1/teams/0190a0c4-8d7e-7a11-9d3b-1f2f3a4b5c6d',
  '/v1/client-contractors?email=zuleica%40example.com',
  'Mozilla/5.0 (X11; Linux x86_64)',
  'E11000 duplicate key error { email: "zuleica@example.com" }',
  '../../etc/passwd',
  'a\r\nb',
  'x'.repeat(10_000),
];

describe('what may leave a process', () => {
  it('is named: whatever else is put on is dropped', () => {
    const hostile = Object.fromEntries(
      [
        'url.full',
        'url.path',
        'url.query',
        'http.url',
        'http.target',
        'user_agent.original',
        'client.address',
        'network.peer.address',
        'server.address',
        'db.query.text',
        'db.statement',
        'exception.message',
        'exception.stacktrace',
        'enduser.id',
        'actor',
        'detail',
        'msg',
        'process.command_args',
        'host.name',
        '__proto__',
        'constructor',
      ].map((name) => [name, 'x']),
    );
    for (const subject of subjects) expect(allowed(subject, hostile)).toEqual({});
  });

  it.each(personal)('is of a form that %j has not, under any name but an id’s', (value) => {
    for (const subject of subjects) {
      for (const name of allowedNames(subject)) {
        const kept = allowed(subject, { [name]: value });
        if (Object.keys(kept).length) expect([name, idForm.test(value)]).toEqual([expect.toBeOneOf(ids), true]);
      }
    }
  });

  it('is a value, not an object that holds more', () => {
    for (const value of [
      { toString: () => 'a' },
      ['a'],
      null,
      undefined,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      10n,
      Symbol('a'),
      () => 'a',
    ]) {
      for (const subject of subjects) for (const name of allowedNames(subject)) expect(allowed(subject, { [name]: value })).toEqual({});
    }
  });

  it('is an entity only by a random id', () => {
    const id = '0190a0c4-8d7e-7a11-9d3b-1f2f3a4b5c6d';
    expect(allowed('span', { 'biz.entity_id': id, 'biz.ownership_id': id })).toEqual({ 'biz.entity_id': id, 'biz.ownership_id': id });
    for (const value of ['52998224725', 'zuleica', 'c1']) expect(allowed('span', { 'biz.entity_id': value })).toEqual({});
  });

  it('is kept as it was', () => {
    const attributes = {
      'http.request.method': 'POST',
      'http.route': '/v1/teams/:id/members/:user_id',
      'http.response.status_code': 201,
      'rpc.service': 'biz.team.v1.TeamService',
      'db.collection.name': 'events',
      'error.type': 'version_conflict',
      'biz.company_id': '0190a0c4-8d7e-7a11-9d3b-1f2f3a4b5c6d',
    };
    expect(allowed('span', attributes)).toEqual(attributes);
    expect(allowed('log', { code: 'not_found', route: '/v1/ownerships/:id', status: 404, ms: 1.5 })).toEqual({
      code: 'not_found',
      route: '/v1/ownerships/:id',
      status: 404,
      ms: 1.5,
    });
  });
});

/** Names whose values are ids and names of things: a document number is of that form too, and is put there by nobody. */
const ids = [
  'biz.company_id',
  'service.name',
  'service.namespace',
  'service.version',
  'service.instance.id',
  'deployment.environment',
  'telemetry.sdk.version',
  'messaging.destination.name',
  'messaging.destination.partition.id',
  'messaging.consumer.group.name',
  'topic',
  'offset',
  'groupId',
  'log_id',
];
const idForm = /^[\w.-]+$/;

describe('the name of a span', () => {
  it.each([
    'POST /v1/teams/:id',
    'GET /v1/audit/records/:record_id/proof',
    'POST /v1/users/:id::activate',
    'GET',
    'biz.team.v1.TeamService/CreateTeam',
    'insert events',
    'process audit',
  ])('%s passes', (name) => expect(allowedSpanName(name)).toBe(name));

  it.each([...personal, 'GET /v1/teams/0190a0c4', 'GET /v1/teams?name=zuleica'])('%j does not', (name) => {
    expect(allowedSpanName(name)).toBe('other');
  });

  it('is looked at in a time that does not grow with what is put there', () => {
    // by backtracking these would not end in this century
    expect(allowedSpanName(`GET ${'/:a'.repeat(40)}!`)).toBe('other');
    expect(allowedSpanName(`${'a '.repeat(60)}!`)).toBe('other');
    expect(allowed('span', { 'http.route': `${'/:a'.repeat(42)}!` })).toEqual({});
  });
});
