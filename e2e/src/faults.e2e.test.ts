// Processes and engines are killed with signal 9 while clients write. What was answered 201 is in the audit at the end, once.
import { until } from '@biz/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Answer, as, auditHistory, Client, unique } from './client.ts';
import { pidOf } from './fleet.ts';
import { keycloakUser } from './keycloak.ts';

// Several waits in each, and what was killed starts on a machine that does other things, too.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 900_000 });
const patience = { timeoutMs: 180_000, intervalMs: 50 };

async function killAndAwaitReturn(name: string): Promise<void> {
  const pid = pidOf(name);
  process.kill(pid, 'SIGKILL');
  await until(() => alive(pidOf(name)) && pidOf(name) !== pid, { ...patience, what: `${name} to come back` });
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Writes cost centres until told to stop, keeping the ids of those that were acknowledged and the other answers. */
function writeSteadily() {
  const acknowledged: string[] = [];
  const refused: Answer[] = [];
  let going = true;
  const worker = async () => {
    while (going) {
      const key = { 'idempotency-key': unique('fault') };
      const answer = await as('admin-a')
        .post('/v1/cost-centers', { code: unique('F'), name: 'Loja' }, key)
        .catch(() => undefined);
      if (answer?.status === 201) acknowledged.push(answer.body.id);
      else if (answer) refused.push(answer);
    }
  };
  const workers = Promise.all([worker(), worker(), worker()]);
  const stop = async () => {
    going = false;
    await workers;
  };
  return {
    acknowledged,
    refused,
    stop,
    // a test that fails leaves nobody writing
    [Symbol.asyncDispose]: stop,
  };
}

async function expectAllInAudit(ids: readonly string[]): Promise<void> {
  for (const id of ids) expect(await auditHistory('cost_center', id, 1)).toHaveLength(1);
}

const writes = async () => (await as('admin-a').post('/v1/cost-centers', { code: unique('F'), name: 'Loja' })).status === 201;

afterEach(async () => {
  await until(writes, { ...patience, what: 'the fleet to write again' });
});

describe('a service killed under load', () => {
  it.each(['cost-center', 'audit', 'gateway'])('%s: comes back by itself and nothing acknowledged is lost', async (name) => {
    await as('admin-a').token();
    await using writer = writeSteadily();
    await until(() => writer.acknowledged.length > 20, { ...patience, what: 'writes before the kill' });
    await killAndAwaitReturn(name);
    const atReturn = writer.acknowledged.length;
    await until(() => writer.acknowledged.length > atReturn + 20, { ...patience, what: 'writes after the kill' });
    await writer.stop();
    for (const answer of writer.refused) expect([503, 504], answer.text).toContain(answer.status);
    await expectAllInAudit(writer.acknowledged);
  });
});

describe('Kafka killed under load', () => {
  it('writes go on, the outbox drains when it is back, each event once and in order', async () => {
    await using writer = writeSteadily();
    await until(() => writer.acknowledged.length > 10, { ...patience, what: 'writes before the kill' });
    const pid = pidOf('kafka');
    process.kill(pid, 'SIGKILL');
    const atKill = writer.acknowledged.length;
    await until(() => writer.acknowledged.length > atKill + 10, { ...patience, what: 'writes while Kafka is away' });
    const { id } = (await as('admin-a').post('/v1/cost-centers', { code: unique('F'), name: 'Um' })).body;
    await as('admin-a').patch(`/v1/cost-centers/${id}`, { name: 'Dois' }, 1);
    await until(() => alive(pidOf('kafka')) && pidOf('kafka') !== pid, { ...patience, what: 'Kafka to come back' });
    await writer.stop();
    expect(writer.refused.map((answer) => answer.status)).toEqual([]);
    const records = await auditHistory('cost_center', id, 2);
    expect(records.map((record) => [record.version, record.event_type])).toEqual([
      [1, 'cost_center.created'],
      [2, 'cost_center.updated'],
    ]);
    await expectAllInAudit(writer.acknowledged);
  });
});

describe('MongoDB killed under load', () => {
  it('is 503 with Retry-After meanwhile, then all goes on and nothing acknowledged is lost', async () => {
    await using writer = writeSteadily();
    await until(() => writer.acknowledged.length > 10, { ...patience, what: 'writes before the kill' });
    await killAndAwaitReturn('mongodb');
    const atReturn = writer.acknowledged.length;
    await until(() => writer.acknowledged.length > atReturn + 10, { ...patience, what: 'writes after the kill' });
    await writer.stop();
    for (const answer of writer.refused) {
      expect([503, 504], answer.text).toContain(answer.status);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    await expectAllInAudit(writer.acknowledged);
  });
});

describe('Keycloak killed', () => {
  it('known tokens work, and a user made meanwhile arrives when it is back', async () => {
    const admin = new Client('admin-a'); // its token is new: none can be had for a while
    // the gateway has the keys of tokens, too
    expect((await admin.get('/v1/cost-centers')).status).toBe(200);
    const pid = pidOf('keycloak');
    process.kill(pid, 'SIGKILL');
    expect((await admin.get('/v1/cost-centers')).status).toBe(200);
    const username = unique('tarde');
    const created = await admin.post('/v1/users', { username, email: `${username}@example.com`, name: 'Tarde' });
    expect(created.status, created.text).toBe(201);
    await until(() => alive(pidOf('keycloak')) && pidOf('keycloak') !== pid, { ...patience, what: 'Keycloak to come back' });
    await until(async () => (await keycloakUser(username).catch(() => undefined))?.attributes?.user_id?.[0] === created.body.id, {
      ...patience,
      intervalMs: 500,
      what: `${username} in Keycloak`,
    });
  });
});
