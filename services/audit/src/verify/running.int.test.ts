import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { engines, testProxy, until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { logSigners } from '../integrity/signing.ts';
import { recordId } from '../keys.ts';
import { type AuditHarness, auditHarness, contextOf, envelope } from '../testing/harness.ts';
import { connectToRead } from './connect.ts';
import { LogKeys } from './log-keys.ts';
import { mongoSource } from './mongo-source.ts';
import { openOutside } from './outside.ts';
import { type VerifyResult, verifyAudit } from './verify.ts';

const ORIGIN = 'biz-retail.local/audit';
const main = fileURLToPath(new URL('./main.ts', import.meta.url));

let audit: AuditHarness;
let folder: string;
let file: string;
let address: string;
let publicKey: Buffer;

beforeAll(async () => {
  audit = await auditHarness({ partitions: 2 });
  folder = await mkdtemp(join(tmpdir(), 'biz-verify-'));
  file = join(folder, 'audit.jsonl');
  publicKey = logSigners(ORIGIN, audit.env.CHECKPOINT_KEY as string)('any').publicKey;
  ({ address } = await audit.start({}, { CHECKPOINT_FILE: file, BATCH_RECORDS: '20', CHECKPOINT_EVERY_MS: '20' }));
  await send(100);
  await signed(100);
});
afterAll(async () => {
  await audit?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** Of entities whose events are in both partitions. */
async function send(count: number): Promise<void> {
  const messages = () => Array.from({ length: count / 2 }, (_, index) => envelope({ payload: { id: `c-${index % 9}`, index } }));
  await Promise.all([audit.send(messages(), 0), audit.send(messages(), 1)]);
}

async function signed(count: number): Promise<void> {
  const sum = async () => {
    const newest = await Promise.all(
      [0, 1].map((partition) =>
        audit.collections.checkpoints
          .find({ log_id: `${audit.topic}-${partition}` })
          .sort({ size: -1 })
          .toArray(),
      ),
    );
    return newest.reduce((total, [one]) => total + (one?.size ?? 0), 0);
  };
  await until(async () => (await sum()) >= count, { what: 'checkpoints of all records' });
}

async function verify(): Promise<VerifyResult> {
  await using outside = await openOutside(file);
  return await verifyAudit(mongoSource(audit.database.db, outside), { keys: new LogKeys(ORIGIN, publicKey) });
}

describe('a store at work', () => {
  it('verifies while records, flags, tiles and checkpoints come', async () => {
    let total = 100;
    let walking = true;
    const sending = (async () => {
      for (; walking || total < 700; total += 100) await send(100);
    })();
    try {
      // Until it has grown under the walks, however fast they are.
      for (let walks = 0, checked = 0; walks < 3 || checked <= 100; walks += 1) {
        const result = await verify();
        expect(result.findings).toEqual([]);
        checked = result.checked;
      }
    } finally {
      walking = false;
      await sending;
    }
    await signed(total);
    expect(await verify()).toMatchObject({ ok: true, checked: total });
  });
});

describe('a database that goes away for a moment', () => {
  it('is read on from where it was', async () => {
    await using proxy = await testProxy(new URL(engines().mongodbUrl).host);
    await using mongo = connectToRead(`mongodb://${proxy.address}`);
    await using outside = await openOutside(file);
    let cuts = 0;
    const source = mongoSource(mongo.db(audit.database.name), outside, 50);
    const records = source.records;
    const cut: typeof records = async function* () {
      for await (const batch of records()) {
        yield batch;
        if (cuts < 3) {
          cuts += 1;
          await proxy.down();
          await proxy.up();
        }
      }
    };
    const result = await verifyAudit({ ...source, records: cut }, { keys: new LogKeys(ORIGIN, publicKey) });
    expect(result).toMatchObject({ ok: true, findings: [] });
    expect(result.checked).toBe(await audit.collections.records.countDocuments());
    expect(cuts).toBe(3);
  });
});

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** As an auditor would, with nothing of the service's environment: no private key, no key-encryption key, no Kafka. */
function run(args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, INIT_CWD: folder };
    execFile(process.execPath, ['--conditions=source', main, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

describe('npm run verify', () => {
  const store = () => ['--mongodb-url', engines().mongodbUrl, '--database', audit.database.name, '--wait', '1'];
  const all = () => ['--checkpoint', 'audit.jsonl', '--key', publicKey.toString('base64'), ...store()];

  it('ends with 0 when all is right, whatever form the key has, and the checkpoints', async () => {
    const client = audit.client(address);
    const auditor = contextOf(['auditor'], ['company-1']);
    const answer = await client<{ logs: { vkey: string }[] }>('GetVerificationKey', {}, auditor);
    await writeFile(join(folder, 'key.json'), JSON.stringify(answer));
    const note = await client<{ data: Buffer }>('GetCheckpoint', { log_id: `${audit.topic}-1` }, auditor);
    await writeFile(join(folder, 'note.txt'), note.data);
    for (const key of [publicKey.toString('base64'), publicKey.toString('hex'), answer.logs[0]?.vkey ?? '', 'key.json']) {
      expect(await run(['--checkpoint', 'note.txt', '--key', key, ...store()])).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^OK/),
      });
    }
    const json = await run([...all(), '--json']);
    const logs = [0, 1].map((partition) => ({ log_id: `${audit.topic}-${partition}`, outside: expect.any(Number) }));
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: true, logs });
  });

  it('ends with 1 and the first bad record', async () => {
    const id = recordId(`${audit.topic}-0`, 20);
    const record = await audit.collections.events.findOne({ _id: id });
    await audit.collections.events.updateOne({ _id: id }, { $set: { owner_role: 'nobody' } });
    try {
      const english = await run(all());
      expect(english).toMatchObject({
        code: 1,
        stdout: expect.stringContaining(`BAD: ${id}: leaf_differs\nThe record at place 20 of log`),
      });
      expect((await run([...all(), '--lang', 'pt-BR'])).stdout).toContain('O registro na posição 20 do log');
    } finally {
      await audit.collections.events.updateOne({ _id: id }, { $set: { owner_role: record?.owner_role ?? '' } });
    }
    expect(await run(all())).toMatchObject({ code: 0 });
  });

  it('ends with 1 when another key is expected, and when the file tells of more than there is', async () => {
    const other = await run([...all(), '--key', Buffer.alloc(32, 1).toString('base64')]);
    expect(other).toMatchObject({ code: 1, stdout: expect.stringContaining('checkpoint_signature') });
    const empty = await run([...all(), '--database', `${audit.name}_nothing`]);
    expect(empty).toMatchObject({ code: 1, stdout: expect.stringContaining('log_behind_checkpoint') });
  });

  it.each([
    ['no file', ['--checkpoint', 'nowhere'], /nowhere/],
    ['a file without checkpoints', ['--checkpoint', 'empty'], /has no checkpoint in it/],
    ['a key that is none', ['--key', 'A+B'], /vkey/],
    ['an option that is none', ['--chekpoint', 'x'], /usage/],
    ['a number that is none', ['--limit', 'all'], /--limit must be/],
    ['no database', ['--mongodb-url', 'mongodb://127.0.0.1:1'], /ECONNREFUSED/],
  ])('ends with 2 and a line when it cannot tell: %s', async (_, args, said) => {
    await writeFile(join(folder, 'empty'), '\n\n');
    const ended = await run([...all(), ...args]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(said);
  });

  it('says how it is used, and what is missing', async () => {
    expect(await run(['--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('usage: npm run verify') });
    for (const option of ['--checkpoint', '--key', '--mongodb-url']) {
      const args = all();
      args.splice(args.indexOf(option), 2);
      expect(await run(args)).toMatchObject({ code: 2, stderr: expect.stringContaining(`${option} is missing`) });
    }
    // Every option is told.
    const { stdout } = await run(['--help']);
    const named = [...(await readFile(main, 'utf8')).matchAll(/(?:values\.(\w+)|values\['([\w-]+)'\])/g)].map(
      ([, plain, quoted]) => plain ?? quoted,
    );
    for (const name of new Set(named)) expect(stdout).toContain(`--${name}`);
  });
});
