import { AppError } from '@biz/errors';
import { createKeyring, type Keyring, readKek } from '@biz/sealing';
import { type TestDatabase, type TestProxy, testDatabase, testProxy, until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createKeycloakAdmin } from '../keycloak.ts';
import { type TestRealm, testRealm } from '../test-realm.ts';
import type { Draft } from './draft.ts';
import { eventsSince, type KeycloakEvent } from './keycloak-events.ts';
import { type LoginEventsOptions, tellLogins } from './poll.ts';

let realm: TestRealm;
let database: TestDatabase;
let proxy: TestProxy;
let keyring: Keyring;
/** What was taken for good, by its id, as the security service does. */
const taken = new Map<string, Draft>();
let fault: 'before' | 'after' | undefined;
const lines: string[] = [];

beforeAll(async () => {
  [realm, database] = await Promise.all([testRealm(), testDatabase('logins')]);
  proxy = await testProxy(new URL(realm.url).host);
  keyring = createKeyring({ database: database.db, kek: await readKek({ value: Buffer.alloc(32, 1).toString('base64') }) });
  await keyring.ensureIndexes();
  const attributes = { user_id: ['u-ana'], companies: ['c-1'] };
  await realm.admin('POST', '/users', {
    username: 'ana',
    email: 'ana@example.com',
    enabled: true,
    firstName: 'Ana',
    lastName: 'S',
    attributes,
  });
  await realm.setPassword('ana', 'pw');
});
afterAll(async () => {
  for (const part of [proxy, realm, database]) await part?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  taken.clear();
  lines.length = 0;
  fault = undefined;
});

function start(over: Partial<LoginEventsOptions> = {}) {
  return tellLogins({
    ...{ db: database.db, keyring, pollMs: 50, overlapMs: 15_000, maxBackoffMs: 200 },
    keycloak: createKeycloakAdmin({ ...realm, url: `http://${proxy.address}` }),
    log: { warn: (_, text) => void lines.push(text), error: (_, text) => void lines.push(text) },
    record: async (events) => {
      if (fault === 'before') throw new AppError('unavailable', 'away');
      for (const event of events) if (!taken.has(event.event_id)) taken.set(event.event_id, event);
      if (fault === 'after') throw new AppError('timeout', 'nobody knows');
    },
    ...over,
  });
}

/** Those of people: the poller itself logs in as a client. */
const ofPeople = () => [...taken.values()].filter(({ resource }) => resource !== 'keycloak:identity-service');
const count = (type: string) => ofPeople().reduce((sum, event) => sum + (event.event_type === type ? event.count : 0), 0);
const told = (type: string, times: number) => until(() => count(type) === times, { what: `${times} ${type}` });

async function token(form: Record<string, string>, path = 'token'): Promise<Record<string, string>> {
  const body = new URLSearchParams({ client_id: 'biz-cli', ...form });
  const response = await fetch(`${realm.url}/realms/${realm.realm}/protocol/openid-connect/${path}`, { method: 'POST', body });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}
const logIn = (password = 'pw', username = 'ana') => token({ grant_type: 'password', username, password });
const refresh = (refresh_token: string) => token({ grant_type: 'refresh_token', refresh_token });

it('tells logins, failed ones, renewals and logouts, each once, also over restarts', async () => {
  await logIn('wrong');
  await logIn('wrong', 'Nobody@example.com');
  const first = start();
  const { refresh_token = '' } = await logIn();
  await told('LOGIN_FAILED', 2);
  await told('LOGIN_SUCCESS', 1);
  await first[Symbol.asyncDispose]();
  for (let n = 0; n < 5; n += 1) await refresh(refresh_token);
  await token({ refresh_token }, 'logout');
  await refresh(refresh_token);
  await using _ = start();
  await told('LOGOUT', 1);
  await told('TOKEN_REFRESHED', 5);
  await told('TOKEN_INVALID', 1);
  await logIn();
  await told('LOGIN_SUCCESS', 2);
  expect([count('LOGIN_FAILED'), count('LOGOUT'), count('TOKEN_REFRESHED')]).toEqual([2, 1, 5]);
  const events = ofPeople();
  expect(events.filter(({ event_type }) => event_type === 'TOKEN_REFRESHED').length).toBeLessThan(5);
  const [known, unknown] = events.filter(({ event_type }) => event_type === 'LOGIN_FAILED');
  expect(known).toMatchObject({
    ...{ user_id: 'u-ana', user_email: 'ana@example.com', company_id: 'c-1', ip: '127.0.0.1', error_message: 'invalid_user_credentials' },
  });
  const [index] = await keyring.blindIndexes([{ company_id: null, kind: 'email', value: 'nobody@EXAMPLE.com' }]);
  expect(unknown).toMatchObject({ error_message: 'user_not_found', details: expect.stringContaining(index ?? '') });
  expect(unknown).not.toHaveProperty('user_id');
  expect(JSON.stringify(events)).not.toMatch(/nobody@|"pw"|wrong"|eyJ/i);
  expect(JSON.stringify(await database.db.collection('login_events').find().toArray())).not.toMatch(/ana|nobody|127\.0/);
});

it('tells nothing twice and misses nothing when it ends between telling and noting that it did', async () => {
  fault = 'after';
  const { refresh_token = '' } = await logIn();
  for (let n = 0; n < 3; n += 1) await refresh(refresh_token);
  const first = start();
  await until(() => taken.size > 0, { what: 'a first try' });
  await first[Symbol.asyncDispose]();
  // more of what was folded: it must not be lost in a group that is known already
  for (let n = 0; n < 4; n += 1) await refresh(refresh_token);
  await logIn('wrong');
  fault = undefined;
  await using _ = start();
  await told('LOGIN_FAILED', 1);
  await told('TOKEN_REFRESHED', 7);
  await told('LOGIN_SUCCESS', 1);
});

it('waits while the recording is away, and while Keycloak is', async () => {
  fault = 'before';
  await using _ = start();
  await logIn('wrong');
  const logged = async (more: number) => {
    const before = lines.length;
    await until(() => lines.length >= before + more, { what: 'the log' });
  };
  await logged(1);
  expect(taken.size).toBe(0);
  await proxy.down();
  // the first may be of a round that had its events before
  await logged(2);
  fault = undefined;
  await logged(1);
  expect(count('LOGIN_FAILED')).toBe(0);
  await proxy.up();
  await told('LOGIN_FAILED', 1);
});

it('two at once tell each event once', async () => {
  await using _one = start();
  await using _two = start();
  for (let n = 0; n < 10; n += 1) await logIn('wrong');
  await told('LOGIN_FAILED', 10);
});

it('one event that is not taken holds up no other', async () => {
  let refused = 0;
  await logIn('wrong');
  await logIn();
  await using _ = start({
    record: async (events) => {
      if (events.some(({ action }) => action === 'LOGIN_ERROR')) {
        refused += 1;
        throw new AppError('invalid_request', 'x');
      }
      for (const event of events) taken.set(event.event_id, event);
    },
  });
  await told('LOGIN_SUCCESS', 1);
  await until(() => refused > 0, { what: 'the refusal' });
  expect(count('LOGIN_FAILED')).toBe(0);
});

async function collect(events: AsyncIterable<KeycloakEvent>): Promise<KeycloakEvent[]> {
  const all: KeycloakEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

it('takes an event that appears later than its time says, within the overlap', async () => {
  const store: KeycloakEvent[] = [];
  const event = (id: string, time: number) => ({ id, time, type: 'LOGIN_ERROR', userId: 'kc-1' });
  const keycloak: LoginEventsOptions['keycloak'] = {
    async send({ path }) {
      const from = Number(new URLSearchParams(path.split('?')[1]).get('dateFrom'));
      const events = store.filter(({ time }) => time >= from).toSorted((one, other) => one.time - other.time);
      return { body: path.startsWith('/events') ? events : [], createdId: undefined };
    },
  };
  await using own = await testDatabase('late');
  await using _ = start({ db: own.db, keycloak });
  store.push(event('a', 100_000));
  await told('LOGIN_FAILED', 1);
  store.push(event('b', 90_000), event('c', 84_999));
  await told('LOGIN_FAILED', 2);
  store.push(event('d', 100_001));
  await told('LOGIN_FAILED', 3);
  expect(ofPeople().map(({ first_at }) => Date.parse(first_at))).toEqual([100_000, 90_000, 100_001]);
});

it('reads every page, each event once and in order, whatever the size of a page', async () => {
  const admin = createKeycloakAdmin(realm);
  const types = ['LOGIN', 'LOGIN_ERROR', 'LOGOUT', 'REFRESH_TOKEN'];
  const all = await collect(eventsSince(admin, types, 0));
  expect(all.length).toBeGreaterThan(20);
  for (const size of [1, 3, all.length]) {
    const paged = await collect(eventsSince(admin, types, 0, size));
    expect(paged.map(({ id }) => id).sort()).toEqual(all.map(({ id }) => id).sort());
    expect(paged.map(({ time }) => time)).toEqual(paged.map(({ time }) => time).toSorted((one, other) => one - other));
  }
});
