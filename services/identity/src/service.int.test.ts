import { randomBytes, randomUUID } from 'node:crypto';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, type RpcClient, serviceContext } from '@biz/rpc';
import { createLog, newId, type RunningService, traceContext } from '@biz/service';
import { engines, type TestDatabase, type TestTls, testDatabase, testTls, uniqueName, until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readServiceConfig } from './config.ts';
import { startIdentity } from './service.ts';
import { type TestRealm, testRealm } from './test-realm.ts';

type Message = Record<string, unknown> & { id: string; version: number };

const contract = loadContract();
let realm: TestRealm;
let database: TestDatabase;
let tls: TestTls;
let service: RunningService;
const clients = new Map<string, RpcClient>();
let companyA: Message;
let companyB: Message;
let sellers: Message;

beforeAll(async () => {
  [realm, database, tls] = await Promise.all([testRealm(), testDatabase('identity'), testTls(['identity', 'gateway'])]);
  const files = tls.tls('identity');
  const config = readServiceConfig({
    ...{ GRPC_LISTEN: '127.0.0.1:0', MONGODB_URL: database.url, MONGODB_DATABASE: database.name, KEYRING_DATABASE: database.name },
    ...{ KAFKA_BROKERS: engines().kafkaBrokers.join(','), AUDIT_TOPIC: uniqueName('audit'), KEK: randomBytes(32).toString('base64') },
    ...{ TLS_CA_FILE: files.caFile, TLS_CERT_FILE: files.certFile, TLS_KEY_FILE: files.keyFile },
    ...{
      KEYCLOAK_URL: realm.url,
      KEYCLOAK_REALM: realm.realm,
      KEYCLOAK_CLIENT_ID: realm.clientId,
      KEYCLOAK_CLIENT_SECRET: realm.clientSecret,
    },
  });
  service = await startIdentity(config, createLog('identity', 'silent'));
  for (const name of ['CompanyService', 'ProfileService', 'UserService']) {
    const rpc = { contract, service: `biz.identity.v1.${name}`, address: service.address, tls: tls.tls('gateway') };
    clients.set(name, createRpcClient(rpc));
  }
  companyA = await company({ legal_name: 'Loja A', cnpj: '12.ABC.345/01DE-35' }, seeding('company-a'));
  companyB = await company({ legal_name: 'Loja B', cnpj: '98765432000198' }, seeding('company-b'));
  sellers = await call('ProfileService', 'CreateProfile', { name: 'Vendas', roles: ['manager', 'user'] }, admin(companyA));
});

afterAll(async () => {
  for (const client of clients.values()) client[Symbol.dispose]();
  await service?.[Symbol.asyncDispose]();
  for (const part of [realm, database, tls]) await part?.[Symbol.asyncDispose]();
});

function call<Answer = Message>(name: string, method: string, request: object, context: CallContext): Promise<Answer> {
  return (clients.get(name) as RpcClient).call(method, request, context) as Promise<Answer>;
}

const company = (request: object, context = seeding()) => call('CompanyService', 'CreateCompany', request, context);

/** What the local fleet's seeding calls with. */
function seeding(key?: string, over: Partial<CallContext> = {}): CallContext {
  return serviceContext('bootstrap', traceContext(), { ...(key && { idempotency_key: `seed:${key}` }), ...over });
}

function admin(home: Message, over: Partial<CallContext> = {}): CallContext {
  const who = { actor: { id: newId(), type: 'user' as const }, role: 'admin', roles: ['admin'], ip: '203.0.113.9' };
  return { ...seeding(), ...who, company_id: home.id, companies: [home.id], ...over };
}

let count = 0;

function person(over: object = {}): { username: string; email: string; name: string } {
  count += 1;
  return { username: `maria-${count}`, email: `Maria-${count}@example.com`, name: 'Maria Aparecida', ...over };
}

const createUser = (request: object, context: CallContext = admin(companyA)) => call('UserService', 'CreateUser', request, context);
const user = (method: string, request: object, context: CallContext = admin(companyA)) => call('UserService', method, request, context);
const inStep = (id: string) =>
  until(async () => (await user('GetUser', { id })).sync_status === 'done', { what: 'Keycloak to be told', timeoutMs: 30_000 });
const refusal = (code: string, ...paths: string[]) =>
  expect.objectContaining({ code, faults: paths.map((path) => expect.objectContaining({ path })) });

describe('a user', () => {
  it('logs in as it was made, and as it was changed', async () => {
    const { id, username } = (await createUser({ ...person(), profile_ids: [sellers.id], client_ids: ['cl-7'] })) as Message & {
      username: string;
    };
    await inStep(id);
    await realm.setPassword(username, 'pw');
    const claims = await realm.logIn(username, 'pw');
    expect(claims).toMatchObject({ user_id: id, companies: [companyA.id], clients: ['cl-7'], name: 'Maria Aparecida' });
    expect((claims.realm_access as { roles: string[] }).roles).toEqual(expect.arrayContaining(['manager', 'user']));
    const removed = await user('RemoveProfile', { id, profile_id: sellers.id });
    expect(removed).toEqual({});
    await inStep(id);
    expect(JSON.stringify(await realm.logIn(username, 'pw'))).not.toContain('manager');
    expect(await user('AssignProfile', { id, profile_id: sellers.id })).toMatchObject({ version: 3, profile_ids: [sellers.id] });
    await user('DisableUser', { id });
    await inStep(id);
    expect((await realm.logIn(username, 'pw')).error).toBe('Account disabled');
    await user('DeleteUser', { id });
    await expect(user('GetUser', { id })).rejects.toThrow(refusal('not_found'));
    await until(async () => (await realm.admin<object[]>('GET', `/users?username=${username}`)).length === 0, {
      what: 'its removal',
      timeoutMs: 30_000,
    });
  });

  it('has a name and an e-mail that nobody has in the realm, and a CPF that nobody has in its home', async () => {
    const first = person({ document: '529.982.247-25' });
    const { id } = await createUser(first);
    const elsewhere = admin(companyB);
    await expect(createUser(person({ username: first.username }), elsewhere)).rejects.toThrow(refusal('already_exists', '/username'));
    await expect(createUser(person({ email: first.email.toUpperCase() }), elsewhere)).rejects.toThrow(refusal('already_exists', '/email'));
    await expect(createUser(person({ document: '52998224725' }))).rejects.toThrow(refusal('already_exists', '/document'));
    await createUser(person({ document: '52998224725' }), elsewhere);
    const found = await call<{ items: Message[] }>('UserService', 'ListUsers', { email: first.email.toLowerCase() }, admin(companyA));
    expect(found.items.map((item) => item.id)).toEqual([id]);
    await user('DeleteUser', { id });
    await createUser(person({ username: first.username, email: first.email, document: '52998224725' }));
  });

  it('of a client is met by people of that client, others of the company are not', async () => {
    const bound = (client: string) => admin(companyA, { clients: [client] });
    const { id } = await createUser(person({ client_ids: ['k-1', 'k-2'] }));
    const staff = await createUser(person());
    expect(await user('GetUser', { id }, bound('k-2'))).toMatchObject({ id });
    const listed = await call<{ items: Message[] }>('UserService', 'ListUsers', { page_size: 200 }, bound('k-2'));
    expect(listed.items.map((item) => item.id)).toEqual([id]);
    await expect(user('GetUser', { id }, bound('k-3'))).rejects.toThrow(refusal('not_found'));
    await expect(user('GetUser', { id: staff.id }, bound('k-2'))).rejects.toThrow(refusal('not_found'));
    await expect(user('DisableUser', { id }, bound('k-2'))).rejects.toThrow(refusal('no_role'));
  });

  it('takes companies and profiles of the caller alone', async () => {
    const theirs = await call('ProfileService', 'CreateProfile', { name: 'Vendas', roles: ['manager'] }, admin(companyB));
    await expect(createUser(person({ profile_ids: [theirs.id] }))).rejects.toThrow(refusal('invalid_request', '/profile_ids/0'));
    await expect(createUser(person({ company_ids: [companyB.id] }))).rejects.toThrow(refusal('invalid_request', '/company_ids/0'));
    await expect(createUser(person({ company_ids: ['*'] }))).rejects.toThrow(refusal('invalid_request', '/company_ids/0'));
    const both = admin(companyA, { companies: [companyA.id, companyB.id] });
    const here = await call('ProfileService', 'CreateProfile', { name: 'Caixa', roles: ['user'] }, admin(companyA));
    const asked = person({ company_ids: [companyA.id, companyB.id], profile_ids: [here.id, theirs.id] });
    const made = await createUser(asked, both);
    expect(made).toMatchObject({ company_id: companyA.id });
    // a profile of another company gives its roles there alone
    await inStep(made.id);
    await realm.setPassword(asked.username, 'pw');
    const claims = await realm.logIn(asked.username, 'pw');
    expect(claims.company_roles).toEqual([`${companyB.id}:manager`]);
    expect(claims.realm_access).toMatchObject({ roles: expect.not.arrayContaining(['manager']) });
  });

  it('is unknown to another company, and sealed for those who may not open it', async () => {
    const { id } = await createUser(person());
    await expect(user('GetUser', { id }, admin(companyB))).rejects.toThrow(refusal('not_found'));
    await expect(user('DisableUser', { id }, admin(companyB))).rejects.toThrow(refusal('not_found'));
    const seen = await user('GetUser', { id }, admin(companyA, { roles: ['user'], role: 'user' }));
    expect(seen.sealed_fields).toEqual(expect.arrayContaining(['email', 'name']));
    expect(seen).not.toHaveProperty('email');
  });

  it('does not lock itself out', async () => {
    const admins = await call('ProfileService', 'CreateProfile', { name: 'Admins', roles: ['admin'] }, admin(companyA));
    const { id } = await createUser(person({ profile_ids: [admins.id] }));
    const self = admin(companyA, { actor: { id, type: 'user' } });
    await expect(user('DeleteUser', { id }, self)).rejects.toThrow(refusal('conflict'));
    await expect(user('RemoveProfile', { id, profile_id: admins.id }, self)).rejects.toThrow(refusal('conflict'));
    await expect(call('ProfileService', 'DisableProfile', { id: admins.id }, self)).rejects.toThrow(refusal('conflict'));
  });

  it('leaves no personal data in the stores', async () => {
    await createUser(person({ name: 'Zulmira Inconfundível', document: '11144477735', email: 'zulmira@example.com' }));
    const collections = await database.db.listCollections().toArray();
    const texts = await Promise.all(
      collections.map(async ({ name }) => JSON.stringify(await database.db.collection(name).find().toArray())),
    );
    for (const trace of ['Zulmira', 'zulmira', '11144477735', '111.444.777-35']) expect(texts.join('\n')).not.toContain(trace);
  });
});

describe('a profile', () => {
  it('has a name that no other of its company has', async () => {
    await expect(call('ProfileService', 'CreateProfile', { name: ' vendas ', roles: ['user'] }, admin(companyA))).rejects.toThrow(
      refusal('already_exists', '/name'),
    );
  });

  it('is deleted only when nobody has it, also when somebody is just given it', async () => {
    const { id } = await createUser(person());
    for (let round = 0; round < 4; round += 1) {
      const profile = await call('ProfileService', 'CreateProfile', { name: `P${round}`, roles: ['user'] }, admin(companyA));
      const outcomes = await Promise.allSettled([
        user('AssignProfile', { id, profile_id: profile.id }),
        call('ProfileService', 'DeleteProfile', { id: profile.id }, admin(companyA)),
      ]);
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    }
  });
});

describe('a company', () => {
  it('is its own company, unique by CNPJ, made and ended by the platform', async () => {
    expect(companyA).toMatchObject({ company_id: companyA.id, cnpj: '12ABC34501DE35' });
    await expect(company({ legal_name: 'Outra', cnpj: '12ABC34501DE35' })).rejects.toThrow(refusal('already_exists', '/cnpj'));
    await expect(company({ legal_name: 'Outra', cnpj: '11222333000181' }, admin(companyA))).rejects.toThrow(refusal('no_role'));
    const own = { id: companyA.id, expected_version: 1, update_mask: { paths: ['legal_name'] }, legal_name: 'Loja A1' };
    expect(await call('CompanyService', 'UpdateCompany', own, admin(companyA))).toMatchObject({ version: 2, legal_name: 'Loja A1' });
    await expect(call('CompanyService', 'DisableCompany', { id: companyA.id }, admin(companyA))).rejects.toThrow(refusal('no_role'));
    await expect(call('CompanyService', 'GetCompany', { id: companyA.id }, admin(companyB))).rejects.toThrow(refusal('not_found'));
    await expect(call('CompanyService', 'DeleteCompany', { id: companyA.id }, seeding())).rejects.toThrow(refusal('conflict'));
  });

  it('is seeded once, however often that is asked', async () => {
    expect((await company({ legal_name: 'Loja B', cnpj: '98765432000198' }, seeding('company-b'))).id).toBe(companyB.id);
  });
});

describe('people of the platform and people of nowhere', () => {
  it('are users without a home company', async () => {
    const all = await createUser(person({ company_ids: ['*'] }), seeding(randomUUID()));
    const none = await createUser(person(), seeding(randomUUID()));
    expect(all).toMatchObject({ company_ids: ['*'] });
    expect(none).not.toHaveProperty('company_id');
    await until(async () => (await user('GetUser', { id: all.id }, seeding())).sync_status === 'done', {
      what: 'Keycloak to be told',
      timeoutMs: 30_000,
    });
    await realm.setPassword(String(all.username), 'pw');
    expect((await realm.logIn(String(all.username), 'pw')).companies).toEqual(['*']);
  });
});
