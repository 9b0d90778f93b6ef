// Every route × every kind of caller × whose id: what docs/access.md says, asked of the running fleet. TENANCY_SEED repeats a run's order.

import { randomUUID } from 'node:crypto';
import type { MethodModel } from '@biz/protos';
import { asksOf, type CallerKind, callerKinds, outcomeOf } from '@biz/rpc';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Answer, as, unique } from './client.ts';
import { absentPath, ask, type Ids, pathWith, routes, tenantOf } from './tenants.ts';

const seed = Number(process.env.TENANCY_SEED ?? Date.now() % 1_000_000);

/** The users of the local realm, by the kinds of the table. */
const usernames: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['admin', 'manager', 'auditor', 'dpo', 'user'].map((role) => [role, `${role}-a`])),
  ...{ 'of a client': 'client-a', 'two companies': 'user-ab', 'no company': 'user-none', platform: 'platform' },
};
const kinds = callerKinds.filter(({ type }) => type === 'user');
const mayCall = (method: MethodModel, kind: CallerKind) => outcomeOf(asksOf(method), kind) === 'yes';

let own: Ids;
let foreign: Ids;
let otherClient: Ids;
let companyA: string;
let companyB: string;

beforeAll(async () => {
  console.log(`TENANCY_SEED=${seed}`);
  [own, foreign] = await Promise.all([tenantOf('admin-a'), tenantOf('admin-b')]);
  otherClient = await tenantOf('admin-a', 'somebody-elses');
  [companyA = '', companyB = ''] = [own['/v1/companies'], foreign['/v1/companies']];
});

/** Runs all, in an order that the seed gives, some at a time, and gives the faults. */
async function inSomeOrder<Case>(cases: readonly Case[], run: (one: Case) => Promise<string | undefined>): Promise<string[]> {
  let state = seed;
  const keyed = cases.map((one) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; // Numerical Recipes' generator
    return { one, key: state };
  });
  const queue = keyed.toSorted((left, right) => left.key - right.key);
  const faults: string[] = [];
  const worker = async () => {
    for (let next = queue.pop(); next; next = queue.pop()) {
      const fault = await run(next.one);
      if (fault !== undefined) faults.push(fault);
    }
  };
  await Promise.all(Array.from({ length: 6 }, worker));
  return faults;
}

const refusals: Readonly<Record<string, number>> = {
  ...{ no_role: 403, no_company: 403, wrong_company: 403, wrong_client: 403, company_required: 400 },
};

function faultOf(what: string, answer: Answer, wanted: string): string | undefined {
  const { status, body } = answer;
  const code = body?.code ?? '';
  const isRefusal = code in refusals || status === 401 || status >= 500;
  const fits = wanted === 'yes' ? !isRefusal : code === wanted && status === refusals[wanted];
  return fits ? undefined : `${what}: ${status} ${code}, and the table says ${wanted}`;
}

const everyCase = routes.flatMap((method) => kinds.map((kind) => ({ method, kind })));

describe('the table holds for every route and every kind of caller', () => {
  it('with nothing chosen', async () => {
    const faults = await inSomeOrder(everyCase, async ({ method, kind }) => {
      const answer = await ask(method, absentPath(method), await as(usernames[kind.name] ?? '').token());
      return faultOf(`${kind.name}, ${method.path}`, answer, outcomeOf(asksOf(method), kind));
    });
    expect(everyCase.length).toBeGreaterThan(500);
    expect(faults).toEqual([]);
  });

  it('with a company that is not the caller’s', async () => {
    const faults = await inSomeOrder(everyCase, async ({ method, kind }) => {
      const stranger = kind.companies.length === 1 ? companyB : randomUUID();
      const answer = await ask(method, absentPath(method), await as(usernames[kind.name] ?? '').token(), { 'x-company-id': stranger });
      const has = kind.companies.length > 0 && kind.companies[0] !== '*';
      return faultOf(`${kind.name}, ${method.path}`, answer, has ? 'wrong_company' : outcomeOf(asksOf(method), kind));
    });
    expect(faults).toEqual([]);
  });

  it('and roles of one company count there alone', async () => {
    const token = await as('user-ab').token();
    const faults = await inSomeOrder(
      routes.flatMap((method) => (['a', 'b'] as const).map((company) => ({ method, company }))),
      async ({ method, company }) => {
        const roles = company === 'b' ? ['user', 'manager'] : ['user'];
        const kind: CallerKind = { name: 'two companies', type: 'user', roles, companies: [company], clients: [] };
        const answer = await ask(method, absentPath(method), token, { 'x-company-id': company === 'a' ? companyA : companyB });
        return faultOf(`in ${company}, ${method.path}`, answer, outcomeOf(asksOf(method), kind));
      },
    );
    expect(faults).toEqual([]);
  });
});

/** An answer without what differs between two requests: ids, and how many of the company's own reads were looked through. */
function bare({ status, text }: Answer, path: string): string {
  const ids = path.split(/[/?]/).filter((part) => /\d/.test(part) && part !== 'v1');
  const plain = ids.reduce((rest, id) => rest.replaceAll(id, '…'), text);
  return `${status} ${plain.replaceAll(/"(trace_id|instance)":"[^"]*"|"searched":\d+/g, '')}`;
}

/** Whether somebody who may call a method hears the same of an id that is not theirs as of one that never was. */
async function compare(method: MethodModel, who: string, hidden: string): Promise<string | undefined> {
  const [token, absent] = [await as(who).token(), absentPath(method)];
  const found = await ask(method, hidden, token);
  const missed = await ask(method, absent, token);
  if (bare(found, hidden) !== bare(missed, absent)) return `${who}, ${method.path}: ${found.text} is not ${missed.text}`;
  // 404, but for lists about somebody, which are empty
  const isHidden = found.status === 404 || (found.status === 200 && /"items":\[\]/.test(found.text));
  return isHidden ? undefined : `${who}, ${method.path}: ${found.status} ${found.text}`;
}

describe('an id of another tenant is as one that never was', () => {
  it('of another company, whoever asks for whatever', async () => {
    const people = kinds.filter(({ companies }) => companies.length === 1 && companies[0] !== '*');
    const cases = routes.flatMap((method) => {
      const path = pathWith(method, foreign);
      return path ? people.filter((kind) => mayCall(method, kind)).map((kind) => ({ method, kind, path })) : [];
    });
    expect(cases.length).toBeGreaterThan(100);
    const faults = await inSomeOrder(cases, ({ method, kind, path }) => compare(method, usernames[kind.name] ?? '', path));
    expect(faults).toEqual([]);
  });

  it('of another client, and what is the company’s own', async () => {
    const [kind] = kinds.filter(({ name }) => name === 'of a client');
    if (!kind) throw new Error('The table has no people of clients.');
    const { '/v1/companies': _, ...companyOwn } = own;
    const cases = routes
      .filter((method) => mayCall(method, kind))
      .flatMap((method) => [otherClient, companyOwn].flatMap((ids) => pathWith(method, ids) ?? []).map((path) => ({ method, path })));
    expect(cases.length).toBeGreaterThan(30);
    expect(await inSomeOrder(cases, ({ method, path }) => compare(method, 'client-a', path))).toEqual([]);
  });

  it('while one’s own is there', async () => {
    const reads = routes.filter(({ name, http }) => http?.verb === 'get' && http.params.length === 1 && name.startsWith('Get'));
    const cases = reads.flatMap((method) => {
      const path = pathWith(method, own);
      // who is only a user sees notifications to oneself alone
      const some = kinds.filter((kind) => mayCall(method, kind) && kind.companies[0] === 'a' && kind.companies.length === 1);
      return path && !path.includes('/notifications/')
        ? some.filter(({ clients }) => !clients.length).map((kind) => ({ method, kind, path }))
        : [];
    });
    expect(cases.length).toBeGreaterThan(20);
    const faults = await inSomeOrder(cases, async ({ method, kind, path }) => {
      const { status, text } = await ask(method, path, await as(usernames[kind.name] ?? '').token());
      return status === 200 ? undefined : `${kind.name}, ${method.path}: ${status} ${text}`;
    });
    expect(faults).toEqual([]);
  });

  it('in a body', async () => {
    const admin = as('admin-a');
    const team = `/v1/teams/${own['/v1/teams']}/members`;
    const user = `/v1/users/${own['/v1/users']}/profiles`;
    for (const [path, collection, body] of [
      ['/v1/cost-centers', '/v1/cost-centers', (id: string) => ({ code: unique('CC'), name: 'x', parent_id: id })],
      ['/v1/teams', '/v1/cost-centers', (id: string) => ({ name: 'x', cost_center_id: id })],
      ['/v1/client-contractors', '/v1/cost-centers', (id: string) => ({ document: '52998224725', name: 'x', cost_center_id: id })],
      [team, '/v1/users', (id: string) => ({ user_id: id, role: 'member' })],
      [user, '/v1/profiles', (id: string) => ({ profile_id: id })],
    ] as const) {
      const id = foreign[collection] ?? '';
      const [found, missed] = [await admin.post(path, body(id)), await admin.post(path, body(randomUUID()))];
      expect([path, found.status, found.body.code]).toEqual([path, 400, 'invalid_request']);
      expect(bare(found, id)).toBe(bare(missed, id));
    }
  });

  it('in a page’s token, and behind an Idempotency-Key', async () => {
    await tenantOf('admin-b'); // so that there is more than a page
    for (const list of ['cost-centers', 'teams', 'client-contractors', 'users', 'profiles', 'notifications', 'audit/records']) {
      const { next_page_token: token } = (await as('admin-b').get(`/v1/${list}?page_size=1`)).body;
      expect([list, token]).toEqual([list, expect.stringMatching(/./)]);
      const taken = await as('admin-a').get(`/v1/${list}?page_size=1&page_token=${encodeURIComponent(token)}`);
      expect([list, taken.status, taken.body.errors?.[0]?.path]).toEqual([list, 400, '/page_token']);
    }
    const key = { 'idempotency-key': randomUUID() };
    const body = { code: unique('CC'), name: 'Loja' };
    const theirs = await as('admin-b').post('/v1/cost-centers', body, key);
    const ours = await as('admin-a').post('/v1/cost-centers', { ...body, name: 'Outra' }, key);
    expect([theirs.status, ours.status]).toEqual([201, 201]);
    expect([ours.body.id === theirs.body.id, ours.body.name, ours.body.company_id]).toEqual([false, 'Outra', companyA]);
  });
});

describe('the four refusals are told apart', () => {
  const body = () => ({ code: unique('CC'), name: 'Loja' });
  const post = (who: string, over: object = {}, headers = {}) => as(who).post('/v1/cost-centers', { ...body(), ...over }, headers);

  it.each([
    ['no_role', () => post('user-a')],
    ['no_company', () => as('user-none').get('/v1/cost-centers')],
    ['wrong_company', () => post('admin-a', {}, { 'x-company-id': companyB })],
    ['wrong_client', () => post('client-a', { client_id: 'somebody-elses' })],
    ['wrong_client', () => as('client-a').get('/v1/cost-centers?client_id=somebody-elses')],
  ] as const)('%s', async (code, request) => {
    const answer = await request();
    expect([answer.status, answer.body.code]).toEqual([403, code]);
  });

  it('and people of a client make, meet and list what is their client’s', async () => {
    const made = await post('client-a');
    const [client] = (await as('client-a').get('/v1/me')).body.clients;
    expect([made.status, made.body.client_id]).toEqual([201, client]);
    const listed = await as('client-a').get('/v1/cost-centers?page_size=200');
    expect(new Set(listed.body.items.map((item: { client_id: string }) => item.client_id))).toEqual(new Set([client]));
    expect((await as('admin-a').get(`/v1/cost-centers/${made.body.id}`)).status).toBe(200);
  });
});
