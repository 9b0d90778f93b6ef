import { randomBytes } from 'node:crypto';
import { type TestDatabase, testDatabase, until } from '@biz/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKeyring, ErasedError, type Kek, openFields, readKek, sealFields } from './index.ts';

let database: TestDatabase;
let kek: Kek;
beforeAll(async () => {
  database = await testDatabase();
  kek = await readKek({ value: randomBytes(32).toString('base64') });
  await keyring().ensureIndexes();
});
afterAll(() => database[Symbol.asyncDispose]());

const keyring = (over: { kek?: Kek; cacheSeconds?: number } = {}) => createKeyring({ database: database.db, kek, ...over });
const keysOf = (ownershipId: string) => database.db.collection('data_keys').find({ ownership_id: ownershipId }).toArray();
const item = (over: { ownership_id: string; company_id?: string | null; event_id?: string; field?: string; text?: string }) => ({
  company_id: 'c1',
  event_id: 'e1',
  field: '/name',
  text: '"x"',
  ...over,
});

test('what one process seals another opens, in order, and a foreign company does not', async () => {
  const items = ['a', 'b', 'a'].map((owner, at) => item({ ownership_id: `order-${owner}`, text: `"${owner}${at}"` }));
  const tokens = await keyring().seal(items);
  const asked = tokens.map((token) => ({ company_id: 'c1', field: '/name', token }));
  expect(await keyring().open(asked)).toEqual([
    { ok: true, text: '"a0"' },
    { ok: true, text: '"b1"' },
    { ok: true, text: '"a2"' },
  ]);
  const foreign = await keyring().open(asked.map((one) => ({ ...one, company_id: 'c2' })));
  expect(foreign.every((one) => !one.ok && one.reason === 'invalid')).toBe(true);
});

test('a person has one key in each company, wrapped, even when many processes make it at once', async () => {
  const owner = 'race';
  const sealed = await Promise.all(
    Array.from({ length: 12 }, (_, at) => keyring().seal([item({ ownership_id: owner, company_id: at % 2 ? 'c1' : null })])),
  );
  const keys = await keysOf(owner);
  expect(keys.map((key) => key.company_id).sort()).toEqual(['c1', null]);
  expect(keys.every((key) => key.kek_id === kek.id && key.state === 'active' && key.kind === 'data')).toBe(true);
  const opened = await keyring().open(sealed.map(([token = ''], at) => ({ company_id: at % 2 ? 'c1' : null, field: '/name', token })));
  expect(opened.every((one) => one.ok)).toBe(true);
});

test('after erasure nothing opens, nothing new is sealed, and no new key is made', async () => {
  const before = keyring();
  const [token = ''] = await before.seal([item({ ownership_id: 'gone' })]);
  await database.db.collection('data_keys').updateOne({ ownership_id: 'gone' }, { $set: { state: 'erased', wrapped: null } });
  expect(await keyring().open([{ company_id: 'c1', field: '/name', token }])).toEqual([{ ok: false, reason: 'erased' }]);
  const refused = keyring().seal([item({ ownership_id: 'stays' }), item({ ownership_id: 'gone' })]);
  await expect(refused).rejects.toThrow(ErasedError);
  await expect(refused).rejects.toMatchObject({ code: 'conflict', owners: [{ company_id: 'c1', ownership_id: 'gone' }] });
  expect(await keysOf('gone')).toHaveLength(1);
});

test('a destroyed key leaves the memory of a process by the time set', async () => {
  const short = keyring({ cacheSeconds: 0.05 });
  const [token = ''] = await short.seal([item({ ownership_id: 'fades' })]);
  await database.db.collection('data_keys').updateOne({ ownership_id: 'fades' }, { $set: { state: 'erased', wrapped: null } });
  await until(async () => (await short.open([{ company_id: 'c1', field: '/name', token }])).every((one) => !one.ok), {
    what: 'the cached key to expire',
  });
});

test('another key-encryption key, or a changed key document, is not taken for the right one', async () => {
  const [token = ''] = await keyring().seal([item({ ownership_id: 'wrapped' })]);
  const asked = [{ company_id: 'c1', field: '/name', token }];
  const other = await readKek({ value: randomBytes(32).toString('base64') });
  await expect(keyring({ kek: other }).open(asked)).rejects.toThrow(`this process has ${other.id}`);
  const wrapped = (await keysOf('order-a'))[0]?.wrapped;
  await database.db.collection('data_keys').updateOne({ ownership_id: 'wrapped' }, { $set: { wrapped } });
  expect(await keyring().open(asked)).toEqual([{ ok: false, reason: 'invalid' }]);
});

test('a blind index is the same for the same document or address, and differs by company and kind', async () => {
  const of = (company_id: string | null, kind: 'document' | 'email', value: string) =>
    keyring().blindIndexes([{ company_id, kind, value }]);
  const [cpf] = await of('c1', 'document', '529.982.247-25');
  expect(cpf).toMatch(/^[0-9a-f]{64}$/);
  expect(await of('c1', 'document', '52998224725')).toEqual([cpf]);
  expect(await of('c1', 'document', '12abc34501de35')).toEqual(await of('c1', 'document', '12.ABC.345/01DE-35'));
  expect(await of('c1', 'email', ' Maria@Example.COM ')).toEqual(await of('c1', 'email', 'maria@example.com'));
  expect(await of('c2', 'document', '52998224725')).not.toEqual([cpf]);
  expect(await of(null, 'document', '52998224725')).not.toEqual([cpf]);
  expect(await of('c1', 'email', '52998224725')).not.toEqual([cpf]);
});

test('fields of many objects are sealed and opened in place, whatever their keys are called', async () => {
  const ring = keyring();
  const data = JSON.parse(
    '{"id":"p1","name":"Maria","email":null,"score":123456789,"contact":{"a/b":"x","__proto__":"y"},"sealed":{"sealed":"s1.not.a.token"}}',
  );
  const fields = ['/name', '/email', '/score', '/contact/a~1b', '/contact/__proto__', '/none'].map((path) => ({
    path,
    ownership_id: 'p1',
  }));
  const target = { company_id: 'c1', event_id: 'e9', data, fields };
  const [sealed, untouched] = await sealFields(ring, [target, { ...target, fields: [] }]);
  expect(untouched).toBe(data);
  expect(JSON.stringify(sealed)).not.toMatch(/Maria|123456789|"x"|"y"/);
  expect(sealed).toMatchObject({ id: 'p1', email: null, name: { sealed: expect.stringMatching(/^s1\./) } });
  const [all, some] = await openFields(ring, [
    { company_id: 'c1', data: sealed ?? {} },
    { company_id: 'c1', data: sealed ?? {}, mayOpen: (path) => path === '/name' },
  ]);
  expect(JSON.stringify(all?.data)).toBe(JSON.stringify(data));
  expect(all).toMatchObject({ sealed: [], erased: [], invalid: ['/sealed'] });
  expect(some?.data).toMatchObject({ name: 'Maria', score: sealed?.score });
  expect(some?.sealed).toEqual(['/score', '/contact/a~1b', '/contact/__proto__', '/sealed']);
});
