// Processes and engines are killed with signal 9 while clients write. What was answered 201 is in the audit at the end, once.
import { readFileSync } from 'node:fs';
import { until } from '@biz/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { type Answer, as, auditHistory, unique } from './client.ts';
import { localDir } from './fleet.ts';
import { keycloakUser } from './keycloak.ts';

/** The pid of a process of the fleet, engines included, as the supervisor noted it. */
function pidOf(name: string): number {
  return JSON.parse(readFileSync(`${localDir()}/run/${name}.json`, 'utf8')).pid;
}

async function killAndAwaitReturn(name: string): Promise<void> {
  const pid = pidOf(name);
  process.kill(pid, 'SIGKILL');
  await until(() => alive(pidOf(name)) && pidOf(name) !== pid, { timeoutMs: 90_000, what: `${name} to come back` });
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
  return {
    acknowledged,
    refused,
    stop: async () => {
      going = false;
      await workers;
    },
  };
}

async function expectAllInAudit(ids: readonly string[]): Promise<void> {
  for (const id of ids) expect(await auditHistory('cost_center', id, 1)).toHaveLength(1);
}

const writes = async () => (await as('admin-a').post('/v1/cost-centers', { code: unique('F'), name: 'Loja' })).status === 201;

afterEach(async () => {
  await until(writes, { timeoutMs: 90_000, what: 'the fleet to write again' });
});

describe('a service killed under load', () => {
  it.each(['cost-center', 'audit', 'gateway'])('%s: comes back by itself and nothing acknowledged is lost', async (name) => {
    await as('admin-a').token();
    const writer = writeSteadily();
    await until(() => writer.acknowledged.length > 20, { timeoutMs: 30_000, what: 'writes before the kill' });
    await killAndAwaitReturn(name);
    const atReturn = writer.acknowledged.length;
    await until(() => writer.acknowledged.length > atReturn + 20, { timeoutMs: 60_000, what: 'writes after the kill' });
    await writer.stop();
    for (const answer of writer.refused) expect([503, 504], answer.text).toContain(answer.status);
    await expectAllInAudit(writer.acknowledged);
  });
});

describe('Kafka killed under load', () => {
  it('writes go on, the outbox drains when it is back, each event once and in order', async () => {
    const writer = writeSteadily();
    await until(() => writer.acknowledged.length > 10, { timeoutMs: 30_000, what: 'writes before the kill' });
    const pid = pidOf('kafka');
    process.kill(pid, 'SIGKILL');
    const atKill = writer.acknowledged.length;
    await until(() => writer.acknowledged.length > atKill + 10, { timeoutMs: 30_000, what: 'writes while Kafka is away' });
    const { id } = (await as('admin-a').post('/v1/cost-centers', { code: unique('F'), name: 'Um' })).body;
    await as('admin-a').patch(`/v1/cost-centers/${id}`, { name: 'Dois' }, 1);
    await until(() => alive(pidOf('kafka')) && pidOf('kafka') !== pid, { timeoutMs: 90_000, what: 'Kafka to come back' });
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
    const writer = writeSteadily();
    await until(() => writer.acknowledged.length > 10, { timeoutMs: 30_000, what: 'writes before the kill' });
    await killAndAwaitReturn('mongodb');
    const atReturn = writer.acknowledged.length;
    await until(() => writer.acknowledged.length > atReturn + 10, { timeoutMs: 60_000, what: 'writes after the kill' });
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
    const admin = as('admin-a');
    await admin.token();
    const pid = pidOf('keycloak');
    process.kill(pid, 'SIGKILL');
    expect((await admin.get('/v1/cost-centers')).status).toBe(200);
    const username = unique('tarde');
    const created = await admin.post('/v1/users', { username, email: `${username}@example.com`, name: 'Tarde' });
    expect(created.status, created.text).toBe(201);
    await until(() => alive(pidOf('keycloak')) && pidOf('keycloak') !== pid, { timeoutMs: 60_000, what: 'Keycloak to come back' });
    await until(async () => (await keycloakUser(username).catch(() => undefined))?.attributes?.user_id?.[0] === created.body.id, {
      timeoutMs: 110_000,
      what: `${username} in Keycloak`,
    });
  });
});
