// Three brokers, two processes of each service, one gateway: what one process alone cannot show. A fleet of its own, since its brokers and
// processes are killed, and held down; BIZ_FLEET_DIR of a fleet that is such a cluster is used as it is.
import { execFile } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { launchFleet, type RunFile } from '@biz/local';
import { until } from '@biz/testing';
import { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { as, unique } from './client.ts';
import { currentRun, localDir, pidOf, useFleet } from './fleet.ts';
import { type Load, type Made, startLoad } from './load.ts';

vi.setConfig({ testTimeout: 900_000, hookTimeout: 900_000 });

/** A machine that does much else at the same time is no fault. */
const patience = { timeoutMs: 300_000, intervalMs: 100 };

const opened = new AsyncDisposableStack();
let mongo: MongoClient;

beforeAll(async () => {
  const main = currentRun();
  if (main.services.audit?.instances.length !== 2 || main.kafka_brokers.split(',').length !== 3) {
    const args = ['--no-tour', '--brokers', '3', '--instances', '2'];
    const fleet = opened.use(await launchFleet({ args, env: sharing(main) }));
    useFleet(fleet.folder);
  }
  mongo = opened.adopt(await new MongoClient(currentRun().mongodb_url).connect(), (client) => client.close());
  await as('admin-a').token();
});
afterAll(() => opened.disposeAsync());

let load: Load | undefined;
afterEach(async () => {
  await load?.stop();
  load = undefined;
});

/** Keycloak and the mail catcher are those of the fleet that runs already: the machine has enough to do. */
function sharing({ keycloak_url, smtp_url }: RunFile): Record<string, string> {
  const secret = (name: string) => join(localDir(), 'keys', name);
  return {
    ...{ KEYCLOAK_URL: keycloak_url, SMTP_URL: smtp_url ?? '', OTEL_SDK_DISABLED: 'true' },
    ...{ KEYCLOAK_CLIENT_SECRET_FILE: secret('identity-client'), OIDC_CLIENT_SECRET_FILE: secret('gateway-client') },
  };
}

/** Load that has begun to flow. */
async function underLoad(options: Parameters<typeof startLoad>[0]): Promise<Load> {
  load = startLoad(options);
  await goesOn(load);
  return load;
}

async function goesOn(one: Load, turns = 10): Promise<void> {
  const before = one.turns();
  await until(() => one.turns() >= before + turns, { ...patience, what: 'the load to go on' });
}

type AuditRecord = { entity_id: string; version: number; event_id: string; log_id: string; leaf_index: number };

async function recordsOf(type: string, ids: readonly string[]): Promise<Map<string, AuditRecord[]>> {
  const found = mongo.db('audit').collection<AuditRecord>('records');
  const projection = { _id: 0, entity_id: 1, version: 1, event_id: 1, log_id: 1, leaf_index: 1 };
  const records = await found.find({ entity_type: type, entity_id: { $in: [...ids] } } as object, { projection }).toArray();
  return Map.groupBy(records, ({ entity_id }) => entity_id);
}

/** Everything acknowledged is in the audit, once: versions from 1 on without a gap, in the order of the log. */
async function expectAudited(made: readonly Made[]): Promise<void> {
  const now = made.map((one) => ({ ...one })); // the load may go on
  for (const [type, entities] of Map.groupBy(now, (one) => one.type)) {
    const ids = entities.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const count = (records: Map<string, AuditRecord[]>, id: string) => records.get(id)?.length ?? 0;
    await until(
      async () => {
        const found = await recordsOf(type, ids);
        return entities.every(({ id, version }) => count(found, id) >= version);
      },
      { ...patience, what: `every ${type} in the audit` },
    );
    // looked at anew: while records come, one look may find a later one without the one before it
    const records = await recordsOf(type, ids);
    for (const { id, version } of entities) {
      const own = (records.get(id) ?? []).toSorted((left, right) => left.leaf_index - right.leaf_index);
      expect(own.length).toBeGreaterThanOrEqual(version);
      expect(own.map((record) => record.version)).toEqual(own.map((_, index) => index + 1));
      expect(new Set(own.map(({ event_id }) => event_id)).size).toBe(own.length);
      expect(new Set(own.map(({ log_id }) => log_id)).size).toBe(1);
    }
  }
}

/** How many events of a service wait to be published. */
const waiting = (database: string) => mongo.db(database).collection('events').countDocuments({ published_at: null });

/** Kills a broker and takes its disk away, so that it cannot come back before it is there again. */
async function lose(node: number): Promise<() => Promise<void>> {
  const folder = join(localDir(), 'data', 'kafka', String(node));
  await rename(folder, `${folder}.away`);
  process.kill(pidOf(`kafka-${node}`), 'SIGKILL');
  return () => rename(`${folder}.away`, folder);
}

/** Ends a process and waits until it is ready again: the run file names its new pid then. */
async function restart(name: string, signal: NodeJS.Signals): Promise<void> {
  const before = pidOf(name);
  process.kill(before, signal);
  await until(() => instances().some((one) => one.process === name && one.pid !== null && one.pid !== before), {
    ...patience,
    what: `${name} to be back`,
  });
}

const instances = () => Object.values(currentRun().services).flatMap((service) => service.instances);

/** The audit verified against the checkpoints outside, by the command, as a person does it; and no finding is open. */
async function expectVerified(): Promise<void> {
  const root = join(import.meta.dirname, '..', '..');
  const argv = [join(root, 'infra', 'local', 'bootstrap.mjs'), 'verify', '--checkpoint', currentRun().checkpoint_file];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: root, env: { ...process.env, BIZ_LOCAL_DIR: localDir() } });
  expect(stdout).toMatch(/^OK/);
}

describe('three brokers', () => {
  it('one is killed: writes go on and reach the audit. Two: writes go on and wait, and all of them arrive, once and in order', async () => {
    const one = await underLoad({ workers: 2, keys: false });
    const back = [await lose(2)];
    const before = one.made.length;
    await goesOn(one);
    await expectAudited(one.made.slice(0, before + 10));

    back.push(await lose(3));
    await until(async () => (await waiting('cost_center')) > 20, { ...patience, what: 'an outbox that grows' });
    const late = await as('admin-a').post('/v1/cost-centers', { code: unique('L'), name: 'Espera' });
    expect(late.status, late.text).toBe(201);
    expect((await recordsOf('cost_center', [late.body.id])).size).toBe(0);

    for (const bring of back) await bring();
    await until(async () => (await recordsOf('cost_center', [late.body.id])).size === 1, { ...patience, what: 'what waited in the audit' });
    await one.stop();
    expect(one.failed).toEqual([]);
    await expectAudited(one.made);
    await until(async () => (await waiting('cost_center')) === 0, { ...patience, what: 'an empty outbox' });
    await expectVerified();
  });
});

describe('two processes of each service', () => {
  it('are all restarted, one after the other, under load: no request fails, nothing is lost or done twice', async () => {
    const one = await underLoad({ workers: 3, keys: false });
    for (const { process: name } of instances()) {
      await restart(name, 'SIGTERM');
      await goesOn(one, 1);
    }
    await one.stop();
    expect(one.failed).toEqual([]);
    await expectAudited(one.made);
    await expectTeamsOnce(one);
  });

  it.each([
    ['with an Idempotency-Key every write is done, once', true],
    ['without one a write may be refused, never doubled', false],
  ])('one of each is killed under load: %s', async (_, keys) => {
    const one = await underLoad({ workers: 3, keys });
    const names = Object.values(currentRun().services).map((service) => service.instances[keys ? 1 : 0]?.process ?? '');
    await Promise.all(names.map((name) => restart(name, 'SIGKILL')));
    await goesOn(one);
    await one.stop();
    for (const { request, status, retryAfter, text } of one.failed) {
      expect([status, Number(retryAfter) > 0], `${request}: ${text}`).toEqual([503, true]);
      expect(request).not.toMatch(/^GET/);
    }
    await expectAudited(one.made);
    await expectTeamsOnce(one);
    await expectVerified();
  });
});

/** No team was made twice, and each that was asked for with an Idempotency-Key was made. */
async function expectTeamsOnce({ asked, made }: Load): Promise<void> {
  const current = mongo.db('team').collection<{ state: { name: string } }>('current');
  const found = await current.find({ 'state.name': { $in: [...asked.all] } }).toArray();
  const names = found.map(({ state }) => state.name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining([...asked.keyed]));
  expect(names).toEqual(expect.arrayContaining(made.flatMap(({ type, name }) => (type === 'team' ? [name] : []))));
}
