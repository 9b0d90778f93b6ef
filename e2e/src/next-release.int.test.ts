import { randomBytes, randomUUID } from 'node:crypto';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, type RpcClient } from '@biz/rpc';
import { engines, type TestDatabase, type TestTls, testDatabase, testTls, uniqueName, until } from '@biz/testing';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Edit, nextRelease, thisRelease } from './next-release.ts';
import { startProcess, type TestProcess } from './process.ts';

const proto = 'protos/biz/cost_center/v1/cost_center.proto';
const clientId = '  optional string client_id = 11 [(biz.field) = { output_only: true }];\n';
const area = (number: number) => `  optional string area = ${number} [(biz.field) = { max_len: 40 nullable: true }];\n`;
/** The next release: cost centres have an area, and those that were created before are of the area `geral`. */
const edits: Edit[] = [
  { file: proto, from: clientId, to: clientId + area(12) },
  { file: proto, from: 'message CreateCostCenterRequest {\n', to: `message CreateCostCenterRequest {\n${area(6)}` },
  { file: proto, from: 'message UpdateCostCenterRequest {\n', to: `message UpdateCostCenterRequest {\n${area(8)}` },
  { file: 'services/cost-center/src/cost-center.ts', from: '  name: string;\n', to: '  name: string;\n  area?: string;\n' },
  {
    file: 'services/cost-center/src/rpc.ts',
    from: "    unique: [{ field: 'code' }],\n",
    to: "    unique: [{ field: 'code' }],\n    upcasts: [{ to: '1.1', events: { 'cost_center.created': (data) => ({ area: 'geral', ...data }) } }],\n",
  },
];

interface CostCenter {
  id: string;
  version: number;
  name: string;
  budget_cents?: number;
  area?: string;
}

const next = nextRelease(['cost-center'], edits);
const company = randomUUID();
const topics = { audit: uniqueName('audit'), dlq: uniqueName('audit-dlq') };
let database: TestDatabase;
let tls: TestTls;
const open: AsyncDisposable[] = [];
const names = () => ({ own: database.name, keyring: `${database.name}_keyring`, audit: `${database.name}_audit` });
const records = () => database.client.db(names().audit).collection('records');

beforeAll(async () => {
  [database, tls] = await Promise.all([testDatabase('beside'), testTls(['cost-center', 'audit', 'gateway'])]);
  const admin = new Kafka({ brokers: engines().kafkaBrokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const made = Object.values(topics);
  await admin.createTopics({ topics: made.map((topic) => ({ topic, numPartitions: 2, replicationFactor: 1 })), waitForLeaders: false });
  await until(() => admin.fetchTopicMetadata({ topics: made }), { what: 'the broker to know the topics' });
  await admin.disconnect();
});
afterAll(async () => {
  await Promise.all(open.map((one) => one[Symbol.asyncDispose]()));
  for (const name of [names().keyring, names().audit]) await database.client.db(name).dropDatabase();
  await database[Symbol.asyncDispose]();
  await tls[Symbol.asyncDispose]();
  next[Symbol.dispose]();
});

const kek = randomBytes(32).toString('base64');
function start(release: string, name: 'cost-center' | 'audit'): Promise<TestProcess> {
  const { caFile, certFile, keyFile } = tls.tls(name);
  return startProcess(release, name, {
    ...{ ENVIRONMENT: 'test', LOG_LEVEL: 'warn', GRPC_LISTEN: '127.0.0.1:0', KEK: kek, CHECKPOINT_KEY: kek },
    ...{ TLS_CA_FILE: caFile, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile },
    ...{ MONGODB_URL: database.url, KEYRING_DATABASE: names().keyring, MONGODB_DATABASE: name === 'audit' ? names().audit : names().own },
    ...{ KAFKA_BROKERS: engines().kafkaBrokers.join(','), AUDIT_TOPIC: topics.audit, DLQ_TOPIC: topics.dlq, CONSUMER_GROUP: topics.audit },
  }).then((started) => {
    open.push(started);
    return started;
  });
}

function context(idempotency_key?: string): CallContext {
  const trace_id = randomBytes(16).toString('hex');
  return {
    ...{ actor: { id: 'u1', type: 'user' }, role: 'admin', roles: ['admin'], company_id: company, companies: [company], clients: [] },
    ...{ ip: '203.0.113.9', traceparent: `00-${trace_id}-00f067aa0ba902b7-01`, trace_id, request_id: trace_id },
    ...(idempotency_key && { idempotency_key }),
  };
}

/** A client with the contract of a release. */
function client(release: string, { address }: TestProcess) {
  const rpc: RpcClient = createRpcClient({
    ...{ contract: loadContract({ root: `${release}/protos` }), service: 'biz.cost_center.v1.CostCenterService', address },
    tls: tls.tls('gateway'),
  });
  open.push({ [Symbol.asyncDispose]: async () => rpc[Symbol.dispose]() });
  return {
    create: (fields: object, key?: string) => rpc.call<CostCenter>('CreateCostCenter', fields, context(key)),
    get: (id: string) => rpc.call<CostCenter>('GetCostCenter', { id }, context()),
    update: ({ id, version: expected_version }: Pick<CostCenter, 'id' | 'version'>, fields: object) =>
      rpc.call<CostCenter>('UpdateCostCenter', { id, expected_version, update_mask: { paths: Object.keys(fields) }, ...fields }, context()),
    list: async (code: string) => (await rpc.call<{ items?: CostCenter[] }>('ListCostCenters', { code }, context())).items ?? [],
  };
}

const holder = async () =>
  (await database.db.collection<{ _id: string; holder: string }>('leases').findOne({ _id: 'published_at' }))?.holder;
const published = () =>
  until(async () => (await database.db.collection('events').countDocuments({ published_at: null })) === 0, {
    what: 'every event published',
  });

test('the next release runs beside this one, on the same data, and can be taken back', { timeout: 600_000 }, async () => {
  await start(thisRelease, 'audit');
  const oldProcess = await start(thisRelease, 'cost-center');
  const old = client(thisRelease, oldProcess);
  const before = await old.create({ code: 'A-1', name: 'Loja' });

  // what was there is read as the next release has it, by id and in lists
  const newProcess = await start(next.folder, 'cost-center');
  const now = client(next.folder, newProcess);
  expect(await now.get(before.id)).toMatchObject({ version: 1, name: 'Loja', area: 'geral' });
  expect(await now.list('A-1')).toMatchObject([{ id: before.id, area: 'geral' }]);

  // both write to one entity in turn; neither loses what the other wrote, nor takes a version twice
  const second = await now.update(before, { area: 'sul' });
  const third = await old.update(second, { name: 'Loja Centro' });
  await expect(now.update(second, { area: 'norte' })).rejects.toMatchObject({ code: 'version_mismatch' });
  await expect(old.update(second, { name: 'x' })).rejects.toMatchObject({ code: 'version_mismatch' });
  expect(await now.get(before.id)).toMatchObject({ version: 3, name: 'Loja Centro', area: 'sul' });
  expect(await old.get(before.id)).toMatchObject({ version: 3, name: 'Loja Centro' });
  expect(await old.get(before.id)).not.toHaveProperty('area');
  expect(third.version).toBe(3);

  // what is created by one is changed by the other; what is unique is so for both; a repeated request is one, whoever is asked
  const made = await Promise.all([
    old.create({ code: 'B-1', name: 'de antes' }, 'k-1'),
    now.create({ code: 'C-1', name: 'de agora', area: 'leste' }),
  ]);
  const [ofOld, ofNew] = made;
  expect(await now.create({ code: 'B-1', name: 'de antes' }, 'k-1')).toMatchObject({ id: ofOld.id, version: 1, area: 'geral' });
  await expect(now.create({ code: 'B-1', name: 'outro' })).rejects.toMatchObject({ code: 'already_exists' });
  await expect(old.create({ code: 'C-1', name: 'outro' })).rejects.toMatchObject({ code: 'already_exists' });
  let [one, other] = [ofOld, ofNew];
  for (let round = 1; round <= 6; round += 1) {
    const writers = round % 2 === 0 ? [old, now] : [now, old];
    [one, other] = await Promise.all([
      writers[0]?.update(one, { budget_cents: round }) ?? one,
      writers[1]?.update(other, { budget_cents: round }) ?? other,
    ]);
  }
  expect(await now.get(ofOld.id)).toMatchObject({ version: 7, budget_cents: 6, area: 'geral' });
  expect(await old.get(ofNew.id)).toMatchObject({ version: 7, budget_cents: 6 });
  expect(await now.get(ofNew.id)).toMatchObject({ version: 7, budget_cents: 6, area: 'leste' });
  await published();

  // the relay goes over to the next release when this one ends, and back when that one is killed
  const first = await holder();
  await oldProcess[Symbol.asyncDispose]();
  await now.update(one, { area: 'oeste' });
  await published();
  expect(await holder()).not.toBe(first);
  const back = client(thisRelease, await start(thisRelease, 'cost-center'));
  await newProcess.kill();

  // taken back: this release reads and writes all of it, and keeps what it does not know
  expect(await back.get(ofOld.id)).toMatchObject({ version: 8, name: 'de antes' });
  await back.update({ id: ofOld.id, version: 8 }, { name: 'de novo' });
  await back.create({ code: 'D-1', name: 'depois' });
  await published();
  const again = client(next.folder, await start(next.folder, 'cost-center'));
  expect(await again.get(ofOld.id)).toMatchObject({ version: 9, name: 'de novo', area: 'oeste' });

  // the folds that this release left are made again for good
  const current = database.db.collection('current');
  await until(async () => (await current.countDocuments({ schema_version: '1.1' })) === 4, { what: 'every fold made again' });
  expect(await current.findOne({ 'state.code': 'D-1' })).toMatchObject({ version: 1, state: { area: 'geral' } });

  // the audit has every event as it was written, in one line of versions an entity, and nothing among the dead letters
  const events = await database.db.collection('events').find({}).sort({ stream_id: 1, version: 1 }).toArray();
  expect(events).toHaveLength(3 + 7 + 7 + 2 + 1);
  await until(async () => (await records().countDocuments({})) >= events.length, { what: 'every event in the audit' });
  const kept = await records().find({ entity_type: 'cost_center' }).sort({ entity_id: 1, version: 1 }).toArray();
  const outline = (id: unknown, version: unknown, schema: unknown, event: unknown) => `${id} ${version} ${schema} ${event}`;
  expect(kept.map((record) => outline(record.entity_id, record.version, record.schema_version, record.event_id))).toEqual(
    events.map((event) => outline(event.meta.entity_id, event.version, event.schema_version, event._id)),
  );
  expect(new Set(events.map(({ schema_version }) => schema_version))).toEqual(new Set(['1.0', '1.1']));
  expect(await database.client.db(names().audit).collection('dead_letters').countDocuments({})).toBe(0);
});
