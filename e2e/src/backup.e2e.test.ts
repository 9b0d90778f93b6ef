// A backup of the fleet under test, taken while it works, becomes a fleet on an empty machine: same answers, same proofs, and it goes on from there. Then that second
// fleet loses its broker's disk, and then its databases, and the runbooks bring it back.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openNote, verifierOf } from '@biz/merkle';
import { until } from '@biz/testing';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Answer, as, auditHistory, unique } from './client.ts';
import { newCpf } from './documents.ts';
import { localDir } from './fleet.ts';
import { runbookStep } from './runbooks.ts';
import { command, SecondFleet, shell } from './second-fleet.ts';

// Fleets are begun in some of them.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 900_000 });
let folder: string;
let second: SecondFleet;
const at = (name: string) => join(folder, name);
const services = ['cost-center', 'client-contractor', 'team', 'identity', 'notification'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-backup-'));
  await promisify(execFile)('mkfifo', [at('endless')]);
  second = await SecondFleet.make();
});
afterAll(async () => {
  await second?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A file of checkpoints that never ends: what reads it, in the middle of its work, is still there when it is killed, on a fast machine, too. */
const endless = () => ['--checkpoint-file', at('endless')];

const backup = (...args: string[]) => command(localDir(), ['backup', ...args]);
const restore = (...args: string[]) => command(second.folder, ['restore', ...args]);

/** Runs a command while cost centres are made and changed. */
async function whileWriting<T>(work: () => Promise<T>): Promise<T> {
  const life = new AbortController();
  const writer = (async () => {
    while (!life.signal.aborted) {
      const made = await as('admin-a').post('/v1/cost-centers', { code: unique('W'), name: 'Enquanto' });
      if (made.status === 201) await as('admin-a').patch(`/v1/cost-centers/${made.body.id}`, { name: 'Isso' }, 1);
    }
  })();
  try {
    return await work();
  } finally {
    life.abort();
    await writer;
  }
}

/** What is compared between the fleets: of entities that were there before the backup was begun. */
interface Known {
  center: string;
  person: string;
  document: string;
  record: { record_id: string; leaf_hash: string };
}
let known: Known;
type Ask = (who: string, path: string) => Promise<Answer>;

async function answers(ask: Ask): Promise<unknown[]> {
  const found = await Promise.all([
    ask('admin-a', `/v1/cost-centers/${known.center}`),
    ask('auditor-a', `/v1/audit/entities/cost_center/${known.center}/history?page_size=200`),
    ask('auditor-a', `/v1/audit/entities/cost_center/${known.center}/state?version=2`),
    ask('auditor-a', `/v1/audit/entities/client_contractor/${known.person}/history`),
    ask('dpo-a', `/v1/audit/entities/client_contractor/${known.person}/history`),
    ask('dpo-a', `/v1/ownerships/${known.person}`),
    ask('admin-a', `/v1/client-contractors/${known.person}`),
  ]);
  return found.map(({ status, body }) => ({ status, body }));
}
const here: Ask = (who, path) => as(who).get(path);
const there: Ask = (who, path) => second.ask(who, 'GET', path);

describe('a backup', () => {
  beforeAll(async () => {
    const admin = as('admin-a');
    const center = (await admin.post('/v1/cost-centers', { code: unique('CC'), name: 'Matriz' })).body.id;
    await admin.patch(`/v1/cost-centers/${center}`, { name: 'Matriz Sul' }, 1);
    await admin.patch(`/v1/cost-centers/${center}`, { name: 'Matriz Norte' }, 2);
    const document = newCpf();
    const person = (await admin.post('/v1/client-contractors', { name: 'Ana Lima', document, email: `${unique('ana')}@example.com` })).body
      .id;
    const [record] = await auditHistory('cost_center', center, 3);
    await auditHistory('client_contractor', person, 1);
    known = { center, person, document, record };
  });

  it('that is killed is told of, and begun anew on demand, while all goes on', async () => {
    await whileWriting(async () => {
      const isBegun = async () => (await readdir(at('data'))).includes('UNFINISHED');
      const when = until(isBegun, { what: 'a backup in hand', timeoutMs: 300_000 });
      expect(await command(localDir(), ['backup', '--to', at('data'), ...endless()], { when })).toMatchObject({ code: null });
      expect(await backup('--to', at('data'))).toMatchObject({ code: 2, text: expect.stringContaining('--again') });
      const { code, text } = await backup('--to', at('data'), '--keys-to', at('keys'), '--again');
      expect([code, text]).toEqual([0, expect.stringMatching(/keys apart, and the secrets .*kek/)]);
    });
  });

  it('is checked without any database; a file of it that was changed is named, and nothing is restored from it', async () => {
    const verified = await backup('--verify', at('data'));
    expect([verified.code, verified.text]).toEqual([0, expect.stringContaining('as they were signed')]);
    await cp(at('data'), at('harmed'), { recursive: true });
    const file = join('cost_center', (await readdir(join(at('harmed'), 'cost_center'))).find((name) => name.startsWith('events.')) ?? '');
    await appendFile(join(at('harmed'), file), 'x');
    const harmed = await backup('--verify', at('harmed'));
    expect([harmed.code, harmed.text]).toEqual([1, expect.stringContaining(join(at('harmed'), file))]);
    const refused = await restore('--from', at('harmed'), '--keys-from', at('keys'));
    expect([refused.code, refused.text]).toEqual([2, expect.stringContaining(join(at('harmed'), file))]);
  });

  it('of keys alone is taken as the runbook says, and opened by the key-encryption key that is with it', async () => {
    const { code, text } = await shell(localDir(), await runbookStep('backup.md', 'keys'), { KEYS: at('keys-alone') });
    expect([code, text]).toEqual([0, expect.stringContaining('is with them, and opens them')]);
    await rm(join(at('keys-alone'), 'secrets', 'kek'));
    const cut = await backup('--verify', at('keys-alone'));
    expect([cut.code, cut.text]).toEqual([1, expect.stringContaining(join('secrets', 'kek'))]);
    const near = await backup('--to', at('near'), '--keys-to', join(at('near'), 'keys'));
    expect([near.code, near.text]).toEqual([2, expect.stringContaining('Keep them in two places')]);
  });

  it('is not restored over a fleet that runs', async () => {
    const refused = await command(localDir(), ['restore', '--from', at('data')]);
    expect([refused.code, refused.text]).toEqual([2, expect.stringContaining('runs already')]);
  });

  it('is restored on an empty machine; killed, the restore is told of and begun anew, and verifies', async () => {
    const args = ['restore', '--from', at('data'), '--keys-from', at('keys')];
    const cut = [...args, ...endless(), '--set-aside', '--by', 'Ana Lima', '--reason', 'it is killed'];
    expect(await command(second.folder, cut, { on: 'Restoring the backup of' })).toMatchObject({ code: null });
    expect(await command(second.folder, args)).toMatchObject({ code: 2, text: expect.stringContaining('was begun here') });
    const { code, text } = await command(second.folder, [...args, '--again']);
    expect([code, text]).toEqual([0, expect.stringContaining('OK: every record, version, flag, tree and checkpoint is as it was signed.')]);
    expect(text).toContain('Restored. Next: npm start');
  });
});

const patched = async (id: string, version: number, name: string): Promise<Answer> => {
  const answer = await second.ask('admin-a', 'PATCH', `/v1/cost-centers/${id}`, { name }, { 'if-match': `"${version}"` });
  expect(answer.status, answer.text).toBe(200);
  return answer;
};

/** Names of the versions of a cost centre as the second fleet's audit has them, once there are as many. */
const history = (id: string, count: number): Promise<{ version: number; entity_version: number; event_id: string; record_id: string }[]> =>
  until(
    async () => {
      const { body } = await there('auditor-a', `/v1/audit/entities/cost_center/${id}/history?page_size=200`);
      return body?.items?.length >= count && body.items;
    },
    { timeoutMs: 120_000, intervalMs: 250, what: `${count} records of ${id} in the second fleet` },
  );

/** Whether everything that the services have is in the audit, and all of it is as it was signed. */
async function verified(): Promise<void> {
  await until(
    async () => {
      const started = await second.ask('auditor-a', 'POST', '/v1/audit/verifications');
      const done = await until(
        async () => {
          const { body } = await there('auditor-a', `/v1/audit/verifications/${started.body.id}`);
          return body.status !== 'running' && body;
        },
        { timeoutMs: 120_000, intervalMs: 250, what: 'a verification' },
      );
      if (!done.integrity?.ok || !done.completeness?.ok) throw new Error(JSON.stringify([done.integrity?.first_bad, done.completeness]));
      return true;
    },
    { timeoutMs: 240_000, intervalMs: 1_000, what: 'a second fleet that verifies and is complete' },
  );
}

describe('the second fleet', () => {
  beforeAll(() => second.start());

  it('answers as the first one does: states, histories, what is opened and what is not', async () => {
    expect(await answers(there)).toEqual(await answers(here));
    const asDpo = await there('dpo-a', `/v1/audit/entities/client_contractor/${known.person}/history`);
    expect(asDpo.text).toContain('Ana Lima');
    const asAuditor = await there('auditor-a', `/v1/audit/entities/client_contractor/${known.person}/history`);
    expect(asAuditor.text).toContain('"sealed":true');
  });

  it('proves the same record under the same key', async () => {
    const [proof, key, originally] = await Promise.all([
      there('auditor-a', `/v1/audit/records/${known.record.record_id}/proof`),
      there('auditor-a', '/v1/audit/verification-key'),
      here('auditor-a', '/v1/audit/verification-key'),
    ]);
    expect([proof.status, proof.body.leaf_hash]).toEqual([200, known.record.leaf_hash]);
    expect(key.body.public_key).toBe(originally.body.public_key);
  });

  it('takes changes where the first one was: versions without a gap, what is unique stays so, and it verifies', async () => {
    await patched(known.center, 3, 'Matriz Leste');
    expect((await history(known.center, 4)).map(({ version, entity_version }) => [version, entity_version])).toEqual(
      [1, 2, 3, 4].map((version) => [version, version]),
    );
    const again = await second.ask('admin-a', 'POST', '/v1/client-contractors', {
      name: 'Outra',
      document: known.document,
      email: `${unique('o')}@example.com`,
    });
    expect(again.status).toBe(409);
    await verified();
  });
});

describe('runbook: the broker lost its disk', () => {
  it('what was published and not yet recorded is found, published again, and recorded once', async () => {
    // The audit stands still while the service goes on; then it is gone, and what the broker had is, too.
    const { pid } = second.run.services.audit ?? {};
    process.kill(pid as number, 'SIGSTOP');
    await patched(known.center, 4, 'Matriz Oeste');
    const mongo = await new MongoClient(second.run.mongodb_url).connect();
    await until(async () => (await mongo.db('cost_center').collection('events').countDocuments({ published_at: null })) === 0, {
      what: 'the event to be published',
      timeoutMs: 120_000,
    });
    await mongo.close();
    await second.stop();
    expect(await shell(second.folder, await runbookStep('lost-broker.md', 'remove'), {})).toMatchObject({ code: 0 });
    await second.start();
    const records = await history(known.center, 5);
    expect(records.map(({ version, entity_version }) => [version, entity_version]).at(-1)).toEqual([5, 5]);
    await verified();
  });
});

describe('runbook: the database is lost', () => {
  it('a backup, the tail of the topic, and each service from the audit: all is there again', async () => {
    const env = { BACKUP: at('later'), KEYS: at('later-keys'), BY: 'Ana Lima', REASON: 'disk of the database' };
    const taken = await shell(second.folder, await runbookStep('backup.md', 'take'), env);
    expect(taken.code, taken.text).toBe(0);
    expect(await shell(second.folder, await runbookStep('backup.md', 'check'), env)).toMatchObject({ code: 0 });
    await patched(known.center, 5, 'Depois do backup');
    const made = await second.ask('admin-a', 'POST', '/v1/cost-centers', { code: unique('D'), name: 'Depois' });
    await history(made.body.id, 1);
    const records = await history(known.center, 6);
    // signed: what is outside is ahead of the backup then
    const proven = async () => (await there('auditor-a', `/v1/audit/records/${records.at(-1)?.record_id}/proof`)).status === 200;
    await until(proven, { timeoutMs: 120_000, what: 'a checkpoint over the last record' });
    await second.stop();
    expect(await shell(second.folder, await runbookStep('restore.md', 'lose'), env)).toMatchObject({ code: 0 });

    const refused = await shell(second.folder, await runbookStep('restore.md', 'restore'), env);
    expect([refused.code, refused.text]).toEqual([2, expect.stringContaining('--set-aside')]);
    const done = await shell(second.folder, await runbookStep('restore.md', 'set-aside'), env);
    expect(done.code, done.text).toBe(0);
    await second.start();
    await history(made.body.id, 1);
    expect((await history(known.center, 6)).map(({ event_id }) => event_id)).toEqual(records.map(({ event_id }) => event_id));
    for (const SERVICE of services) {
      const rebuilt = await shell(second.folder, await runbookStep('restore.md', 'from-audit'), { SERVICE });
      expect(rebuilt.code, rebuilt.text).toBe(0);
    }
    expect((await there('admin-a', `/v1/cost-centers/${known.center}`)).body).toMatchObject({ version: 6, name: 'Depois do backup' });
    expect((await there('admin-a', `/v1/cost-centers/${made.body.id}`)).body.name).toBe('Depois');
    await patched(known.center, 6, 'E continua');
    await history(known.center, 7);
    await verified();
    expect(await command(second.folder, ['verify'])).toMatchObject({ code: 0 });
  });

  it('checkpoints of the lost history are kept, with a signed statement that is in the audit, too', async () => {
    const kept = join(second.folder, 'checkpoints');
    const names = await readdir(kept);
    const [statement = ''] = names.filter((name) => name.endsWith('.statement'));
    const key = await readFile(join(kept, 'verification-key'), 'utf8');
    const lost = await command(second.folder, ['verify', '--checkpoint', join(kept, statement.replace('.statement', ''))]);
    expect([lost.code, lost.text]).toEqual([1, expect.stringContaining('BAD')]);
    const vkeys = (await there('auditor-a', '/v1/audit/verification-key')).body.logs as { vkey: string }[];
    expect(vkeys[0]?.vkey).toContain('+');
    const note = await readFile(join(kept, statement), 'utf8');
    const { text } = openNote(note, [verifierOf(restoreKey(key))]);
    const said = JSON.parse(text.split('\n')[1] ?? '');
    expect(said).toMatchObject({ by: 'Ana Lima', reason: 'disk of the database' });
    const told = await until(
      async () =>
        (await second.ask('platform', 'GET', '/v1/audit/records?event_type=audit_restore.completed')).body?.items?.find(
          (item: { payload: string }) => JSON.stringify(item).includes(said.sha256),
        ),
      { timeoutMs: 60_000, what: 'the restore to be a record' },
    );
    expect(told).toBeTruthy();
  });
});

describe('without its keys', () => {
  const lost = ['--set-aside', '--by', 'Ana Lima', '--reason', 'keys are lost'];
  const shut = { sealed: true };
  const nameless = { name: shut, document: shut, email: shut };
  it('what is personal stays sealed, for everybody, and nobody is said to be erased; all else works', async () => {
    await second.stop();
    expect(await shell(second.folder, await runbookStep('restore.md', 'lose'), {})).toMatchObject({ code: 0 });
    const { code, text } = await command(second.folder, ['restore', '--from', at('later'), ...lost]);
    expect([code, text]).toEqual([0, expect.stringContaining('Without --keys-from everything that is personal stays sealed')]);
    await second.start();
    const person = await there('admin-a', `/v1/client-contractors/${known.person}`);
    expect([person.status, person.body]).toEqual([200, expect.objectContaining(nameless)]);
    const answered = await answers(there);
    expect(answered).toEqual(answered.map(() => expect.objectContaining({ status: 200 })));
    expect(JSON.stringify(answered)).not.toMatch(/Ana Lima|"erased/);
    const asDpo = await there('dpo-a', `/v1/audit/entities/client_contractor/${known.person}/history`);
    expect(asDpo.text).toContain('"sealed":true');
    await patched(known.center, 5, 'Sem chaves');
    await history(known.center, 6);
    const document = newCpf();
    const made = await second.ask('admin-a', 'POST', '/v1/client-contractors', {
      name: 'Bia',
      document,
      email: `${unique('b')}@example.com`,
    });
    expect([made.status, made.body.name]).toEqual([201, 'Bia']);
    await verified();
  });

  it('keys that are found later are not mixed with those that were made meanwhile', async () => {
    await second.stop();
    const refused = await shell(second.folder, await runbookStep('restore.md', 'keys'), { KEYS: at('later-keys'), BACKUP: at('later') });
    expect([refused.code, refused.text]).toEqual([2, expect.stringContaining('The database keyring is not empty')]);
  });
});

/** The key of statements, from the bare public key: as `docs/runbooks/restore.md` says it is called. */
function restoreKey(publicKey: string): string {
  const name = 'biz-retail.local/audit/restore';
  const key = Buffer.concat([Buffer.of(1), Buffer.from(publicKey.trim(), 'base64')]);
  const id = createHash('sha256')
    .update(Buffer.concat([Buffer.from(`${name}\n`), key]))
    .digest('hex')
    .slice(0, 8);
  return `${name}+${id}+${key.toString('base64')}`;
}
