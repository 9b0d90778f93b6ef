// Who may do what, and how a refusal looks: design of tokens, roles and tenancy as a client meets it.
import { describe, expect, it } from 'vitest';
import { as, passwordGrant, send, unique } from './client.ts';
import { newCpf } from './documents.ts';
import { currentRun } from './fleet.ts';

const problem = (code: string) =>
  expect.objectContaining({ code, title: expect.any(String), trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) });

describe('tokens', () => {
  it('none, nonsense, and an ID token are 401 problems', async () => {
    const none = await send('GET', '/v1/cost-centers');
    expect([none.status, none.body]).toEqual([401, problem('token_missing')]);
    expect(none.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(none.headers.get('www-authenticate')).toMatch(/^Bearer/);
    const user = currentRun().users.find((candidate) => candidate.username === 'admin-a');
    const { id_token, access_token } = await passwordGrant('admin-a', user?.password ?? '');
    for (const token of ['abc', id_token ?? '', `${access_token.slice(0, -4)}AAAA`]) {
      const answer = await send('GET', '/v1/cost-centers', { headers: { authorization: `Bearer ${token}` } });
      expect([answer.status, answer.body]).toEqual([401, problem('token_invalid')]);
    }
  });
});

describe('roles and companies', () => {
  it('refuse with their own codes', async () => {
    const body = { code: unique('CC'), name: 'Loja' };
    expect((await as('user-a').post('/v1/cost-centers', body)).body).toEqual(problem('no_role'));
    expect((await as('user-none').get('/v1/cost-centers')).body).toEqual(problem('no_company'));
    const wrong = await as('admin-a').post('/v1/cost-centers', body, { 'x-company-id': '01890000-0000-7000-8000-000000000000' });
    expect([wrong.status, wrong.body]).toEqual([403, problem('wrong_company')]);
    expect((await as('user-a').get('/v1/audit/records')).body).toEqual(problem('no_role'));
  });

  it('another company’s id answers exactly as one that does not exist', async () => {
    const { id } = (await as('admin-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja' })).body;
    const unknown = '01890000-0000-7000-8000-00000000abcd';
    const withoutIds = (text: string) =>
      text
        .replaceAll(id, '')
        .replaceAll(unknown, '')
        .replace(/"(trace_id|instance)":"[^"]*"/g, '');
    for (const [method, path, options] of [
      ['GET', '', {}],
      ['PATCH', '', { body: { name: 'x' }, headers: { 'if-match': '"1"' } }],
      ['POST', '/disable', {}],
      ['POST', '/enable', {}],
      ['DELETE', '', {}],
    ] as const) {
      const foreign = await as('admin-b').send(method, `/v1/cost-centers/${id}${path}`, options);
      const absent = await as('admin-b').send(method, `/v1/cost-centers/${unknown}${path}`, options);
      expect([foreign.status, foreign.body.code]).toEqual([404, 'not_found']);
      expect(withoutIds(foreign.text)).toBe(withoutIds(absent.text));
    }
    const listed = await as('admin-b').get('/v1/cost-centers?page_size=200');
    expect(listed.text).not.toContain(id);
    const child = await as('admin-b').post('/v1/cost-centers', { code: unique('CC'), name: 'Filha', parent_id: id });
    expect(child.status).toBe(400);
  });

  it('a person without the role sees that a personal field is sealed, not what it holds', async () => {
    const person = { document: newCpf(), name: unique('Fulano'), email: 'fulano@example.com' };
    const created = await as('admin-a').post('/v1/client-contractors', person);
    expect(created.status, created.text).toBe(201);
    const { id } = created.body;
    const seen = await as('user-a').get(`/v1/client-contractors/${id}`);
    expect(seen.body).toMatchObject({ document: { sealed: true }, name: { sealed: true }, email: { sealed: true } });
    expect((await as('manager-a').get(`/v1/client-contractors/${id}`)).body.document).toBe(person.document);
  });

  it('platform people read every company, and choose one when they like', async () => {
    const { id, company_id } = (await as('admin-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja' })).body;
    expect((await as('platform').get(`/v1/cost-centers/${id}`)).status).toBe(200);
    expect((await as('platform').get(`/v1/cost-centers/${id}`, { 'x-company-id': company_id })).status).toBe(200);
    const other = (await as('admin-b').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja' })).body.company_id;
    expect((await as('platform').get(`/v1/cost-centers/${id}`, { 'x-company-id': other })).status).toBe(404);
  });
});

describe('bad requests', () => {
  const admin = as('admin-a');

  it.each([
    ['an unknown field', { body: { code: 'A', name: 'B', colour: 'red' } }, 400, '/colour'],
    ['a missing field', { body: { code: 'A' } }, 400, '/name'],
    ['a wrong type', { body: { code: 7, name: 'B' } }, 400, '/code'],
    ['an operator for a value', { body: { code: { $ne: '' }, name: 'B' } }, 400, '/code'],
    ['a number that JSON cannot carry', { raw: '{"code":"A","name":"B","budget_cents":9007199254740993}' }, 400, '/budget_cents'],
  ])('%s is told with its path', async (_, options, status, path) => {
    const answer = await admin.send('POST', '/v1/cost-centers', options);
    expect([answer.status, answer.body]).toEqual([status, problem('invalid_request')]);
    expect(answer.body.errors.map((error: { path: string }) => error.path)).toContain(path);
  });

  it.each([
    ['no JSON', '{"code":'],
    ['a duplicate key', '{"code":"A","code":"B","name":"C"}'],
    ['a prototype key', '{"code":"A","name":"B","__proto__":{"admin":true}}'],
    ['10,000 levels', '['.repeat(10_000) + ']'.repeat(10_000)],
  ])('%s is refused as JSON', async (_, raw) => {
    const answer = await admin.send('POST', '/v1/cost-centers', { raw });
    expect([answer.status, answer.body]).toEqual([400, problem('invalid_json')]);
  });

  it('wrong content type 415, too large 413, no such route 404, no such method 405', async () => {
    const text = await admin.send('POST', '/v1/cost-centers', { raw: 'code=A', headers: { 'content-type': 'text/plain' } });
    expect([text.status, text.body]).toEqual([415, problem('unsupported_media_type')]);
    const large = await admin.send('POST', '/v1/cost-centers', { raw: JSON.stringify({ code: 'A', name: 'x'.repeat(2_000_000) }) });
    expect([large.status, large.body]).toEqual([413, problem('too_large')]);
    expect((await admin.get('/v1/nothing')).body).toEqual(problem('not_found'));
    expect((await admin.send('PUT', '/v1/cost-centers', { body: {} })).body).toEqual(problem('method_not_allowed'));
  });

  it('a foreign or broken page token, filter and version are 400', async () => {
    for (const path of [
      '/v1/cost-centers?page_token=abc',
      '/v1/cost-centers?page_size=0',
      '/v1/cost-centers?status[$ne]=x',
      '/v1/cost-centers/not-a-uuid',
    ]) {
      const answer = await admin.get(path);
      expect([path, answer.status, answer.body]).toEqual([path, 400, problem('invalid_request')]);
    }
    const answer = await admin.patch('/v1/cost-centers/01890000-0000-7000-8000-00000000abcd', { name: 'x' }, 'abc');
    expect(answer.status).toBe(400);
  });
});
