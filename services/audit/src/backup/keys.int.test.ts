// Keys are backed up apart from the data, and what was destroyed stays destroyed, on the real engines.
import { execFile } from 'node:child_process';
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { type Backup, createBackup, openBackup } from '@biz/backup';
import { assertRestored } from '@biz/service';
import { until } from '@biz/testing';
import { BSON, type Collection } from 'mongodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type BackupHarness, backupHarness, LONG_MS } from '../testing/backup.ts';
import type { LogKeys } from '../verify/log-keys.ts';
import { checkKeys, takeKeysBackup } from './keys.ts';
import { restoreBackup, restoreKeys } from './restore.ts';

vi.setConfig({ testTimeout: LONG_MS, hookTimeout: LONG_MS });

let harness: BackupHarness;
let audit: BackupHarness['audit'];
let folder: string;
let keys: LogKeys;
beforeAll(async () => {
  harness = await backupHarness();
  ({ audit, folder, keys } = harness);
  await using _audit = await harness.start();
  await harness.writeWhile(async () => {
    await until(async () => (await harness.recorded()) > 30, { timeoutMs: 200_000, what: 'some records' });
    await harness.backupTo('data');
    await takeKeysBackup({ keyring: audit.keyring.db, to: join(folder, 'data-keys'), of: 'data' });
  });
});
afterAll(() => harness?.[Symbol.asyncDispose]());

describe('keys', () => {
  type Key = { _id: string; state: string; wrapped: string | null; ownership_id: string | null };
  let data: Collection<Key>;
  let backup: Backup;
  beforeAll(async () => {
    data = audit.keyring.db.collection<Key>('data_keys');
    backup = await openBackup(join(folder, 'data-keys'));
  });
  beforeEach(() => harness.dropAll());
  const keyOf = async (ownership_id: string): Promise<string> => (await data.findOne({ ownership_id }))?._id ?? '';
  const statesOf = async () => {
    const found = await audit.collections.ownerships.find({ ownership_id: { $in: ['own-1', 'own-2'] } }).toArray();
    return Object.fromEntries(found.map(({ ownership_id, key_state, blind_document }) => [ownership_id, [key_state, blind_document]]));
  };
  const onlyOneErased = { 'own-1': ['erased', []], 'own-2': ['active', []] };
  const alone = (more: object = {}) => ({ client: audit.database.client, keys: backup, erased: new Set<string>(), ...more });

  it('that were destroyed after their backup was made stay destroyed', async () => {
    await restoreKeys(alone());
    const [victim, other] = [await keyOf('own-1'), await data.findOne({ ownership_id: 'own-2' })];
    await harness.dropAll();
    const done = await restoreBackup(await harness.optionsOf('data', { keys: backup, erased: new Set([victim]) }));
    expect(done.erasedAgain).toBe(1);
    expect(await data.findOne({ _id: victim })).toMatchObject({ state: 'erased', wrapped: null });
    expect(await data.findOne({ _id: other?._id ?? '' })).toEqual(other);
    expect(await statesOf()).toEqual(onlyOneErased);
  });

  it('that were destroyed after the backup of data, as a later one of keys or the keyring itself has it: what finds the person is not restored', async () => {
    await restoreKeys(alone());
    await data.updateOne({ _id: await keyOf('own-1') }, { $set: { state: 'erased', wrapped: null } });
    await takeKeysBackup({ keyring: audit.keyring.db, to: join(folder, 'later-keys'), of: null });
    // the audit alone was lost
    await restoreBackup(await harness.optionsOf('data'));
    expect(await statesOf()).toEqual(onlyOneErased);
    await harness.dropAll();
    // all was lost
    await restoreBackup(await harness.optionsOf('data', { keys: await openBackup(join(folder, 'later-keys')) }));
    expect(await statesOf()).toEqual(onlyOneErased);
  });

  it('alone: cut short, nothing starts, which would make other keys; begun anew on demand; never over what is there', async () => {
    const cut = { has: () => raise('killed') } as unknown as Set<string>;
    await expect(restoreKeys(alone({ erased: cut }))).rejects.toThrow('killed\nThe restore is not finished, and nothing starts');
    await expect(harness.start()).rejects.toThrow('restore');
    await expect(restoreKeys(alone())).rejects.toThrow('--again');
    const { keys: count } = await restoreKeys(alone({ again: true }));
    expect(await data.countDocuments()).toBe(count);
    await expect(restoreKeys(alone())).rejects.toThrow('not empty');
    await assertRestored(audit.keyring.db);
  });

  it('of another environment are told before anything is written', async () => {
    const writer = await createBackup(join(folder, 'other-keys'), { kind: 'keys' });
    const entry = { database: audit.keyring.name, collection: 'data_keys', indexes: [] };
    await writer.collection(
      entry,
      Readable.from([BSON.serialize({ _id: 'k', kind: 'data', wrapped: 'x', kek_id: 'theirs', state: 'active' })]),
    );
    await writer.finish({ of: null });
    const others = await harness.optionsOf('data', { keys: await openBackup(join(folder, 'other-keys')) });
    await expect(restoreBackup(others)).rejects.toThrow('theirs, those of the data by');
    expect(await data.countDocuments()).toBe(0);
    expect(await audit.database.db.listCollections().toArray()).toEqual([]);
  });

  it('are taken alone by the command, and checked by it; its exit codes say how it went', async () => {
    await restoreKeys(alone());
    const env = { ...process.env, MONGODB_URL: audit.database.url, INIT_CWD: folder };
    const main = join(import.meta.dirname, 'main.ts');
    const run = (...args: string[]) =>
      promisify(execFile)(process.execPath, ['--conditions=source', main, '--keyring-database', audit.keyring.name, ...args], { env }).then(
        ({ stdout }) => [0, stdout],
        ({ code, stdout, stderr }) => [code, stdout + stderr],
      );
    expect(await run('--keys-to', 'taken')).toEqual([0, expect.stringContaining('keys apart')]);
    expect(await run('--verify', 'taken')).toEqual([0, expect.stringMatching(/^OK: \d+ keys of/)]);
    expect(await run('--verify', 'data', '--key', keys.publicKey)).toEqual([0, expect.stringContaining('as they were signed')]);
    await appendFile(join(folder, 'taken', 'manifest.json'), 'x');
    expect(await run('--verify', 'taken')).toEqual([1, expect.stringContaining('BAD: ')]);
    expect(await run('--keys-to', 'taken', '--again')).toEqual([2, expect.stringContaining('holds a backup already')]);
    expect(await run('--to', 'near', '--keys-to', 'near/keys', '--key', keys.publicKey)).toEqual([
      2,
      expect.stringContaining('two places'),
    ]);
    expect(await run('--help')).toEqual([0, expect.stringContaining('usage: npm run backup')]);
    expect(await run('--mongodb-url', 'mongodb://127.0.0.1:1', '--keys-to', 'x')).toEqual([
      2,
      expect.stringContaining('cannot be reached'),
    ]);
  });

  it('are checked without a database: whole, and opened by the key-encryption key that is with them', async () => {
    expect(await checkKeys(backup)).toMatchObject({ opened: false, destroyed: 0 });
    await restoreKeys(alone());
    await mkdir(join(folder, 'secrets'));
    const withSecret = async (kek: string, to: string) => {
      await writeFile(join(folder, 'secrets', 'kek'), kek, { mode: 0o600 });
      await takeKeysBackup({ keyring: audit.keyring.db, to: join(folder, to), of: null, secrets: join(folder, 'secrets') });
      return openBackup(join(folder, to));
    };
    const right = await checkKeys(await withSecret(audit.env.KEK as string, 'right-kek'));
    expect(right).toMatchObject({ opened: true, keys: await data.countDocuments() });
    const wrong = await withSecret(Buffer.alloc(32).toString('base64'), 'wrong-kek');
    await expect(checkKeys(wrong)).rejects.toThrow('does not open the key');
    await rm(join(folder, 'wrong-kek', 'secrets', 'kek'));
    await expect(checkKeys(wrong)).rejects.toThrow(join(folder, 'wrong-kek', 'secrets', 'kek'));
  });
});

function raise(message: string): never {
  throw new Error(message);
}
