// Backups taken while everything writes, and restored after everything was lost, on the real engines.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { type Backup, createBackup, openBackup } from '@biz/backup';
import type { EventDocument } from '@biz/eventstore';
import { assertRestored, foldedAfterRestore } from '@biz/service';
import { until } from '@biz/testing';
import { BSON, type Collection, type Document } from 'mongodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMongoStore } from '../ingest/mongo-store.ts';
import { signMoved } from '../integrity/checkpointer.ts';
import { logSigners } from '../integrity/signing.ts';
import { newestWitnesses } from '../integrity/witness.ts';
import { leafText } from '../leaf.ts';
import { checkAudit } from '../testing/check.ts';
import { type AuditHarness, auditHarness, envelope } from '../testing/harness.ts';
import { type Team, teamService } from '../testing/team.ts';
import { LogKeys } from '../verify/log-keys.ts';
import { aboutOf } from './about.ts';
import { type BackupResult, takeBackup } from './backup.ts';
import { checkBackup } from './check.ts';
import { checkKeys, takeKeysBackup } from './keys.ts';
import { type RestoreOptions, restoreBackup, restoreKeys } from './restore.ts';
import { verifyRestored } from './verify-restored.ts';

const ORIGIN = 'biz-retail.local/audit';
const PARTITIONS = 3;
/** Few, so that each gets events all the time, and from several partitions. */
const ENTITIES = 12;
/** Several fleets may share the machine. */
const LONG_MS = 300_000;
const PERSON = 'Anastasia Marcada';
vi.setConfig({ testTimeout: LONG_MS, hookTimeout: LONG_MS });

let audit: AuditHarness;
let team: Team;
let folder: string;
let keys: LogKeys;
let outside: string;
/** Ids of all events that were sent or appended. */
const sent = new Set<string>();

beforeAll(async () => {
  audit = await auditHarness({ partitions: PARTITIONS });
  team = await teamService(audit);
  folder = await mkdtemp(join(tmpdir(), 'biz-backup-'));
  outside = join(folder, 'audit.jsonl');
  keys = new LogKeys(ORIGIN, logSigners(ORIGIN, audit.env.CHECKPOINT_KEY as string)('any').publicKey);
});
afterAll(async () => {
  await team?.[Symbol.asyncDispose]();
  await audit?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const start = (more: NodeJS.ProcessEnv = {}) =>
  audit.start({}, { CHECKPOINT_FILE: outside, CHECKPOINT_EVERY_MS: '20', BATCH_RECORDS: '20', ...more });

/** One event of a producer that seals nothing and keys nothing, to some partition. */
async function sendOne(n: number): Promise<void> {
  const [entity, id] = [`c-${n % ENTITIES}`, randomUUID()];
  const metadata = { event_id: id, company_id: 'company-a', ownership_id: `own-${n % 5}` };
  const message = envelope({
    event_type: n < ENTITIES ? 'card.created' : 'card.updated',
    payload: { id: entity, n, name: PERSON },
    metadata,
  });
  await audit.send([message], n % PARTITIONS);
  sent.add(id);
}

async function writeWhile<T>(work: () => Promise<T>): Promise<T> {
  const life = new AbortController();
  const writers = [
    (async () => {
      for (let n = 0; !life.signal.aborted; n += 1) await sendOne(n);
    })(),
    (async () => {
      const ids = Array.from({ length: 4 }, () => randomUUID());
      for (let n = 0; !life.signal.aborted; n += 1) for (const id of await team.change(ids[n % ids.length] as string, 1)) sent.add(id);
    })(),
  ];
  try {
    return await work();
  } finally {
    life.abort();
    await Promise.all(writers);
  }
}

const recorded = (): Promise<number> => audit.collections.events.countDocuments({ event_id: { $in: [...sent] } });
const allRecorded = () => until(async () => (await recorded()) === sent.size, { timeoutMs: 200_000, what: 'every event to be recorded' });

const backupTo = (name: string, more: object = {}): Promise<BackupResult> =>
  takeBackup({
    ...{ client: audit.database.client, to: join(folder, name), keys, checkpointFile: outside, partBytes: 60_000 },
    databases: [audit.database.name, team.store.db.databaseName],
    auditDatabase: audit.database.name,
    keyringDatabase: audit.keyring.name,
    ...more,
  });

async function optionsOf(name: string, more: Partial<RestoreOptions> = {}): Promise<RestoreOptions> {
  const backup = await openBackup(join(folder, name));
  return { client: audit.database.client, backup, about: aboutOf(backup.manifest, keys), erased: new Set(), ...more };
}

async function dropAll(): Promise<void> {
  await audit.database.db.dropDatabase();
  await team.store.db.dropDatabase();
  await audit.keyring.db.dropDatabase();
}

/** Kafka as on an empty machine: topics of the same names, with offsets from the beginning. */
async function newTopics(): Promise<void> {
  const admin = audit.plain.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [audit.topic] });
  // the deletion goes on after its answer; meanwhile the name is taken
  await until(
    async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [audit.topic] }).catch(() => ({ topics: [] }));
      if (topics[0]?.partitions.length === PARTITIONS)
        return (await admin.fetchTopicOffsets(audit.topic)).every(({ high }) => high === '0');
      await admin.createTopics({ topics: [{ topic: audit.topic, numPartitions: PARTITIONS }] });
      return false;
    },
    { what: 'a new topic', timeoutMs: 200_000 },
  );
  await admin.disconnect();
}

/** What holds of every audit, once nothing is put off any more. */
const atRest = () =>
  until(() => checkAudit(audit.collections).then(() => true), {
    timeoutMs: 200_000,
    intervalMs: 200,
    what: 'an audit at rest that is right',
  });

const textsOf = async (): Promise<Map<string, string>> =>
  new Map((await audit.collections.records.find().toArray()).map((document) => [document._id, leafText(document)]));

describe('a backup that was taken while everything wrote', () => {
  let before: Map<string, string>;
  let eventsBefore: Document[];
  let taken: BackupResult;
  beforeAll(async () => {
    await using _audit = await start();
    await writeWhile(async () => {
      await until(async () => (await recorded()) > 90, { timeoutMs: 200_000, what: 'some records' });
      taken = await backupTo('first');
      await takeKeysBackup({ keyring: audit.keyring.db, to: join(folder, 'first-keys'), of: taken.id });
      const size = sent.size;
      await until(async () => sent.size > size + 40, { timeoutMs: 200_000, what: 'more events' });
    });
    await allRecorded();
    before = await textsOf();
    eventsBefore = await team.store.events.find().sort({ _id: 1 }).toArray();
  });

  it('is whole by itself, and holds less than there is now', async () => {
    const backup = await openBackup(join(folder, 'first'), { digest: taken.digest });
    const { about } = await checkBackup(backup, keys);
    const size = about.logs.reduce((sum, log) => sum + log.size, 0);
    expect(size).toBeGreaterThan(50);
    expect(size).toBeLessThan(before.size);
    expect(taken.gaps).toEqual([]);
    expect(taken.documents).toBeGreaterThan(size);
    expect(taken.bytes).toBeGreaterThan(size * 500);
  });

  it('opens nothing: what is personal is in it only sealed, and no key at all', async () => {
    const backup = await openBackup(join(folder, 'first'));
    const names = backup.manifest.collections.map(({ database, collection }) => `${database}.${collection}`);
    expect(names.filter((name) => name.startsWith(audit.keyring.name))).toEqual([]);
    let all = '';
    for (const entry of backup.manifest.collections)
      for await (const part of backup.parts(entry)) all += Buffer.concat(part).toString('latin1');
    expect(all.includes('card.updated')).toBe(true);
    expect(all.includes(PERSON)).toBe(false);
  });

  it('is refused over what is there', async () => {
    await expect(restoreBackup(await optionsOf('first'))).rejects.toThrow(`The database ${audit.database.name} is not empty`);
  });

  it('a file of it that was changed is named, by the check and before a restore writes anything', async () => {
    const copy = join(folder, 'harmed');
    await cp(join(folder, 'first'), copy, { recursive: true });
    const { manifest } = await openBackup(copy);
    const file = join(copy, manifest.collections.find(({ collection }) => collection === 'records')?.parts.at(-1)?.file ?? '');
    const bytes = await readFile(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 9) ^ 1, bytes.length - 9);
    await writeFile(file, bytes);
    await expect(checkBackup(await openBackup(copy), keys)).rejects.toThrow(file);
    await dropAll();
    await expect(restoreBackup(await optionsOf('harmed'))).rejects.toThrow(file);
    expect(await audit.database.db.listCollections().toArray()).toEqual([]);
  });

  it('one whose records and hashes were changed alike does not lead to what was signed', async () => {
    const backup = await openBackup(join(folder, 'first'));
    const about = structuredClone(backup.manifest.about) as { logs: { root: string }[] };
    (about.logs[0] as { root: string }).root = Buffer.alloc(32).toString('base64');
    expect(() => aboutOf({ ...backup.manifest, about }, keys)).toThrow('is of another log, size or root');
    const other = new LogKeys(ORIGIN, logSigners(ORIGIN, Buffer.alloc(32).toString('base64'))('any').publicKey);
    expect(() => aboutOf(backup.manifest, other)).toThrow('is not signed by this key');
  });

  it('cut short at any step, a restore is told of and begun anew on demand', async () => {
    const once = await optionsOf('first', { conclude: () => Promise.reject(new Error('killed')) });
    await expect(restoreBackup(once)).rejects.toThrow('killed');
    await expect(restoreBackup(await optionsOf('first'))).rejects.toThrow('was begun here');
    await expect(start()).rejects.toThrow('restore');
    // nothing else starts on it either, and it is no state to keep
    for (const db of [team.store.db, audit.database.db]) await expect(assertRestored(db)).rejects.toThrow('run it again with --again');
    await expect(backupTo('half')).rejects.toThrow('is half restored since');
    const some = await optionsOf('first', { again: true, only: [team.store.db.databaseName] });
    await expect(restoreBackup(some)).rejects.toThrow(`would stay half restored`);
    const keysOf = await openBackup(join(folder, 'first-keys'));
    const done = await restoreBackup(await optionsOf('first', { again: true, keys: keysOf }));
    expect(done.records).toBe(taken.about.logs.reduce((sum, { size }) => sum + size, 0));
    expect(done.keys).toBeGreaterThan(0);
    await assertRestored(audit.database.db);
    await expect(assertRestored(team.store.db)).rejects.toThrow('the current state is not made from the events yet');
    await expect(restoreBackup(await optionsOf('first', { again: true }))).rejects.toThrow('--from DIR --finish');
    await foldedAfterRestore(team.store.db);
    await assertRestored(team.store.db);
    await expect(restoreBackup(await optionsOf('first', { again: true }))).rejects.toThrow('no restore was begun');
  });

  it('restored, it is what was signed: records leaf by leaf, versions, flags, heads, counts', async () => {
    const db = audit.database.db;
    const { about } = await optionsOf('first');
    expect(await verifyRestored({ db, about, keys, files: [] })).toMatchObject({ ok: true });
    await checkAudit(audit.collections);
    const restored = await textsOf();
    for (const [id, text] of restored) expect(text).toBe(before.get(id));
  });

  it('is not signed while checkpoints kept outside are ahead of it', async () => {
    const alerts: { log_id: string }[] = [];
    const { checkpoints, logs } = audit.collections;
    const count = await checkpoints.countDocuments();
    const parts = {
      ...{ db: audit.database.db, collections: audit.collections, store: createMongoStore(audit.collections), file: undefined, everyMs: 1 },
      signerOf: logSigners(ORIGIN, audit.env.CHECKPOINT_KEY as string),
      outside: await newestWitnesses(outside),
      log: { error: (fields: object) => void alerts.push(fields as { log_id: string }), warn: () => undefined },
    };
    await signMoved(parts, new Map());
    const sizes = new Map((await logs.find().toArray()).map(({ _id, size }) => [_id, size]));
    const ahead = [...parts.outside].filter(([log, { size }]) => size > (sizes.get(log) ?? 0)).map(([log]) => log);
    expect(ahead.length).toBeGreaterThan(0);
    expect(alerts.map(({ log_id }) => log_id).sort()).toEqual(ahead.sort());
    expect(await checkpoints.countDocuments()).toBe(count);
  });

  it('is no state to keep while checkpoints kept outside are ahead of it: a backup of it would take the place of a better one', async () => {
    await expect(backupTo('rolled-back')).rejects.toThrow('The audit has fewer records than were signed');
    await expect(openBackup(join(folder, 'rolled-back'))).rejects.toThrow('not finished');
  });

  it('has every event that its records tell of, each stream from its first version without a gap', async () => {
    const events = await team.store.events.find().sort({ stream_id: 1, version: 1 }).toArray();
    const versions = Map.groupBy(events, ({ stream_id }) => stream_id);
    for (const stream of versions.values()) expect(stream.map(({ version }) => version)).toEqual(stream.map((_, at) => at + 1));
    const known = new Set(events.map(({ _id }) => _id));
    const records = await audit.collections.events.find({ producer_service: 'team_service' }).toArray();
    expect(records.filter(({ event_id }) => !known.has(event_id))).toEqual([]);
    const plain = ({ published_at: _, ...event }: EventDocument | Document) => event;
    const originals = new Map(eventsBefore.map((event) => [String(event._id), plain(event)]));
    for (const event of events) expect(plain(event)).toEqual(originals.get(event._id));
  });

  it('what the topic has beyond it comes in as the next versions of the same logs, each event once', async () => {
    await using _audit = await start({ CONSUMER_GROUP: `${audit.name}-again`, CHECKPOINT_FILE: join(folder, 'tail.jsonl') });
    await allRecorded();
    await team.change(randomUUID(), 3);
    await until(
      async () => (await audit.collections.events.countDocuments({ entity_type: 'team' })) >= (await team.store.events.countDocuments()),
      {
        what: 'new events',
      },
    );
    await atRest();
    expect(await recorded()).toBe(sent.size);
  });

  it('the topic alone makes records again, but not the ones that were signed: only a backup gives those back', async () => {
    const { about } = await optionsOf('first');
    await audit.database.db.dropDatabase();
    await using _audit = await start({ CONSUMER_GROUP: `${audit.name}-empty`, CHECKPOINT_FILE: join(folder, 'empty.jsonl') });
    await allRecorded();
    await atRest();
    const { ok, findings } = await verifyRestored({ db: audit.database.db, about, keys, files: [outside] });
    expect(ok).toBe(false);
    expect(new Set(findings.map(({ reason }) => reason))).toContain('leaf_differs');
    expect((await verifyRestored({ db: audit.database.db, about, keys, files: [join(folder, 'empty.jsonl')] })).findings).toEqual([]);
  });
});

describe('on an empty machine, with a Kafka that knows nothing', () => {
  it('own events that the audit of the backup lacks are published again, new ones follow without a gap, and the logs go on', async () => {
    let sizes = new Map<string, number>();
    {
      await using _audit = await start({ CONSUMER_GROUP: `${audit.name}-again`, CHECKPOINT_FILE: join(folder, 'tail.jsonl') });
      await writeWhile(async () => {
        const size = await recorded();
        await until(async () => (await recorded()) > size + 30, { timeoutMs: 200_000, what: 'more records' });
        const { about } = await backupTo('second', { checkpointFile: join(folder, 'tail.jsonl') });
        await takeKeysBackup({ keyring: audit.keyring.db, to: join(folder, 'second-keys'), of: 'second' });
        sizes = new Map(about.logs.map((log) => [log.log_id, log.size]));
      });
    }
    await dropAll();
    team.hold(true);
    await newTopics();
    const restored = await restoreBackup(await optionsOf('second', { keys: await openBackup(join(folder, 'second-keys')) }));
    expect(restored.documents).toBeGreaterThan(restored.records);
    await using _audit = await start({
      CONSUMER_GROUP: `${audit.name}-new`,
      CHECKPOINT_FILE: join(folder, 'new.jsonl'),
      SERVICE_ADDRESSES: `team=${team.address}`,
    });
    team.hold(false);
    await team.store.rebuild();
    await team.change(randomUUID(), 3);
    await sendOne(1);
    const events = await team.store.events.find().toArray();
    await until(
      async () => (await audit.collections.events.countDocuments({ event_id: { $in: events.map(({ _id }) => _id) } })) === events.length,
      {
        timeoutMs: 200_000,
        what: 'every event that the service has',
      },
    );
    for (const { _id, size } of await audit.collections.logs.find().toArray()) expect(size).toBeGreaterThanOrEqual(sizes.get(_id) ?? 0);
    const teams = await audit.collections.events.find({ entity_type: 'team' }).sort({ entity_key: 1, version: 1 }).toArray();
    for (const { version, entity_version } of teams) expect(version).toBe(entity_version);
    const { about } = await optionsOf('second');
    await until(async () => (await verifyRestored({ db: audit.database.db, about, keys, files: [] })).ok, {
      what: 'the audit at rest, verified',
    });
  });
});

describe('keys', () => {
  type Key = { _id: string; state: string; wrapped: string | null; ownership_id: string | null };
  let data: Collection<Key>;
  let backup: Backup;
  beforeAll(async () => {
    data = audit.keyring.db.collection<Key>('data_keys');
    backup = await openBackup(join(folder, 'second-keys'));
  });
  beforeEach(dropAll);
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
    await dropAll();
    const done = await restoreBackup(await optionsOf('second', { keys: backup, erased: new Set([victim]) }));
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
    await restoreBackup(await optionsOf('second'));
    expect(await statesOf()).toEqual(onlyOneErased);
    await dropAll();
    // all was lost
    await restoreBackup(await optionsOf('second', { keys: await openBackup(join(folder, 'later-keys')) }));
    expect(await statesOf()).toEqual(onlyOneErased);
  });

  it('alone: cut short, nothing starts, which would make other keys; begun anew on demand; never over what is there', async () => {
    const cut = { has: () => raise('killed') } as unknown as Set<string>;
    await expect(restoreKeys(alone({ erased: cut }))).rejects.toThrow('killed\nThe restore is not finished, and nothing starts');
    await expect(start()).rejects.toThrow('restore');
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
    const others = await optionsOf('second', { keys: await openBackup(join(folder, 'other-keys')) });
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
    expect(await run('--verify', 'first', '--key', keys.publicKey)).toEqual([0, expect.stringContaining('as they were signed')]);
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
