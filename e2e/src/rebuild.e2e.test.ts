// A service's database is destroyed and made again by `npm run rebuild`, while the fleet runs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repository } from '@biz/local';
import { until } from '@biz/testing';
import { type Db, type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as, auditHistory, unique } from './client.ts';
import { newCpf } from './documents.ts';
import { currentRun, localDir } from './fleet.ts';

const services = ['cost-center', 'client-contractor', 'team', 'identity', 'notification'] as const;
let mongo: MongoClient;
beforeAll(async () => {
  mongo = await new MongoClient(currentRun().mongodb_url).connect();
});
afterAll(() => mongo?.close());

const databaseOf = (service: string): Db => mongo.db(currentRun().services[service]?.database ?? service);

/** Runs the command as a person does; gives its exit code and what it said. */
async function rebuild(service: string, ...more: string[]): Promise<{ code: number | null; said: string }> {
  const args = [join('infra', 'local', 'bootstrap.mjs'), 'rebuild', '--service', service, ...more];
  const env = { ...process.env, BIZ_LOCAL_DIR: localDir() };
  const child = spawn(process.execPath, args, { cwd: repository, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const [code] = await once(child, 'close');
  return { code, said: said.join('') };
}

async function bytes(service: string, collection: string): Promise<string[]> {
  const found = databaseOf(service).collection(collection).find({}, { raw: true }).sort({ _id: 1 });
  return ((await found.toArray()) as unknown as Uint8Array[]).map((raw) => Buffer.from(raw).toString('hex'));
}

/** All of each event that travels to the audit, in the order of its fields. */
async function lasting(service: string): Promise<string[]> {
  const events = await databaseOf(service).collection<Document & { _id: string }>('events').find({}).sort({ _id: 1 }).toArray();
  return events.map(({ idempotency: _, fence: __, published_at: ___, synced_at: ____, meta, ...rest }) =>
    JSON.stringify({ ...rest, meta: { ...meta, traceparent: meta.traceparent.slice(0, 36) } }),
  );
}

/** Records of the service's own entities; what it tells of logins is kept by another one. */
function recordsOf(service: string): Promise<number> {
  const filter = { kind: 'event', producer_service: `${service.replaceAll('-', '_')}_service`, entity_type: { $ne: 'security_event' } };
  return databaseOf('audit').collection('records').countDocuments(filter);
}

/** Nothing of the service is on its way any more: all its events are records, and no mail waits. */
async function settled(service: string): Promise<void> {
  const db = databaseOf(service);
  await until(
    async () => {
      const [events, records, open, queued] = await Promise.all([
        db.collection('events').countDocuments({}),
        recordsOf(service),
        db.collection('events').countDocuments({ published_at: null }),
        db.collection('current').countDocuments({ status: 'queued' }),
      ]);
      return events === records && open === 0 && queued === 0;
    },
    { timeoutMs: 180_000, what: `all events of ${service} in the audit` },
  );
}

async function created(path: string, body: object): Promise<{ id: string }> {
  const answer = await as('admin-a').post(path, body, { 'idempotency-key': unique('rebuild') });
  expect(answer.status, answer.text).toBe(201);
  return answer.body;
}

let parent: { id: string };
let child: { id: string };
beforeAll(async () => {
  parent = await created('/v1/cost-centers', { code: unique('P'), name: 'Matriz' });
  child = await created('/v1/cost-centers', { code: unique('C'), name: 'Loja', parent_id: parent.id, budget_cents: 5_000_000_000 });
  await as('admin-a').patch(`/v1/cost-centers/${child.id}`, { name: 'Loja Centro', budget_cents: null }, 1);
  const gone = await created('/v1/cost-centers', { code: unique('G'), name: 'Fechada' });
  expect((await as('admin-a').delete(`/v1/cost-centers/${gone.id}`)).status).toBe(204);
  await created('/v1/teams', { name: unique('Time'), cost_center_id: child.id });
  const person = { name: 'Ana Lima', document: newCpf(), email: `${unique('ana')}@example.com` };
  await created('/v1/client-contractors', person);
});

describe.each(services)('%s', (service) => {
  it('destroyed: made again from the audit, byte for byte', async () => {
    await settled(service);
    const [events, current] = [await lasting(service), await bytes(service, 'current')];
    expect(events.length).toBeGreaterThan(0);
    const records = await recordsOf(service);
    for (const collection of ['events', 'current', 'claims']) await databaseOf(service).collection(collection).drop();

    const dry = await rebuild(service, '--from-audit', '--dry-run');
    expect([dry.code, dry.said]).toEqual([1, expect.stringContaining(`${events.length.toLocaleString('en')} missing, 0 differ`)]);
    expect(await bytes(service, 'events')).toEqual([]);

    const { code, said } = await rebuild(service, '--from-audit');
    expect([code, said]).toEqual([0, expect.stringContaining(`${events.length.toLocaleString('en')} events inserted`)]);
    expect(await lasting(service)).toEqual(events);
    expect(await bytes(service, 'current')).toEqual(current);
    expect(await databaseOf(service).collection('events').countDocuments({ published_at: null })).toBe(0);
    expect(await rebuild(service, '--from-audit', '--dry-run')).toMatchObject({ code: 0, said: expect.stringContaining('0 differences') });
    // nothing was published a second time
    expect(await recordsOf(service)).toBe(records);
  });
});

describe('afterwards', () => {
  it('the service goes on where it was: versions, unique codes, the tree', async () => {
    const admin = as('admin-a');
    const renamed = await admin.patch(`/v1/cost-centers/${child.id}`, { name: 'Loja Sul' }, 2);
    expect([renamed.status, renamed.body.version]).toEqual([200, 3]);
    expect((await admin.patch(`/v1/cost-centers/${parent.id}`, { parent_id: child.id }, 1)).status).toBe(409);
    const { code } = (await admin.get(`/v1/cost-centers/${child.id}`)).body;
    expect((await admin.post('/v1/cost-centers', { code, name: 'Outra' })).status).toBe(409);
    const history = await auditHistory('cost_center', child.id, 3);
    expect(history.map(({ version }) => version)).toEqual([1, 2, 3]);
  });

  it('current alone comes back from the events', async () => {
    await settled('cost-center');
    const before = await bytes('cost-center', 'current');
    await databaseOf('cost-center').collection('current').drop();
    expect((await rebuild('cost-center', '--dry-run')).code).toBe(1);
    expect(await rebuild('cost-center')).toMatchObject({ code: 0, said: expect.stringContaining('0 left as they are') });
    expect(await bytes('cost-center', 'current')).toEqual(before);
    expect((await rebuild('cost-center', '--dry-run')).code).toBe(0);
  });
});
