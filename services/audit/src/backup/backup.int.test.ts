// Backups taken while everything writes, and restored after everything was lost, on the real engines.
import { randomUUID } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openBackup } from '@biz/backup';
import type { EventDocument } from '@biz/eventstore';
import { assertRestored, foldedAfterRestore } from '@biz/service';
import { until } from '@biz/testing';
import type { Document } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createMongoStore } from '../ingest/mongo-store.ts';
import { signMoved } from '../integrity/checkpointer.ts';
import { logSigners } from '../integrity/signing.ts';
import { newestWitnesses } from '../integrity/witness.ts';
import { leafText } from '../leaf.ts';
import { type BackupHarness, backupHarness, LONG_MS, ORIGIN, PARTITIONS, PERSON } from '../testing/backup.ts';
import { checkAudit } from '../testing/check.ts';
import { LogKeys } from '../verify/log-keys.ts';
import { aboutOf } from './about.ts';
import type { BackupResult } from './backup.ts';
import { checkBackup } from './check.ts';
import { takeKeysBackup } from './keys.ts';
import { restoreBackup } from './restore.ts';
import { verifyRestored } from './verify-restored.ts';

vi.setConfig({ testTimeout: LONG_MS, hookTimeout: LONG_MS });

let harness: BackupHarness;
let audit: BackupHarness['audit'];
let team: BackupHarness['team'];
let folder: string;
let outside: string;
let keys: LogKeys;
let sent: Set<string>;
beforeAll(async () => {
  harness = await backupHarness();
  ({ audit, team, folder, outside, keys, sent } = harness);
});
afterAll(() => harness?.[Symbol.asyncDispose]());

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
    await using _audit = await harness.start();
    await harness.writeWhile(async () => {
      await until(async () => (await harness.recorded()) > 90, { timeoutMs: 200_000, what: 'some records' });
      taken = await harness.backupTo('first');
      await takeKeysBackup({ keyring: audit.keyring.db, to: join(folder, 'first-keys'), of: taken.id });
      const size = sent.size;
      await until(async () => sent.size > size + 40, { timeoutMs: 200_000, what: 'more events' });
    });
    await harness.allRecorded();
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
    await expect(restoreBackup(await harness.optionsOf('first'))).rejects.toThrow(`The database ${audit.database.name} is not empty`);
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
    await harness.dropAll();
    await expect(restoreBackup(await harness.optionsOf('harmed'))).rejects.toThrow(file);
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
    const once = await harness.optionsOf('first', { conclude: () => Promise.reject(new Error('killed')) });
    await expect(restoreBackup(once)).rejects.toThrow('killed');
    await expect(restoreBackup(await harness.optionsOf('first'))).rejects.toThrow('was begun here');
    await expect(harness.start()).rejects.toThrow('restore');
    // nothing else starts on it either, and it is no state to keep
    for (const db of [team.store.db, audit.database.db]) await expect(assertRestored(db)).rejects.toThrow('run it again with --again');
    await expect(harness.backupTo('half')).rejects.toThrow('is half restored since');
    const some = await harness.optionsOf('first', { again: true, only: [team.store.db.databaseName] });
    await expect(restoreBackup(some)).rejects.toThrow(`would stay half restored`);
    const keysOf = await openBackup(join(folder, 'first-keys'));
    const done = await restoreBackup(await harness.optionsOf('first', { again: true, keys: keysOf }));
    expect(done.records).toBe(taken.about.logs.reduce((sum, { size }) => sum + size, 0));
    expect(done.keys).toBeGreaterThan(0);
    await assertRestored(audit.database.db);
    await expect(assertRestored(team.store.db)).rejects.toThrow('the current state is not made from the events yet');
    await expect(restoreBackup(await harness.optionsOf('first', { again: true }))).rejects.toThrow('--from DIR --finish');
    await foldedAfterRestore(team.store.db);
    await assertRestored(team.store.db);
    await expect(restoreBackup(await harness.optionsOf('first', { again: true }))).rejects.toThrow('no restore was begun');
  });

  it('restored, it is what was signed: records leaf by leaf, versions, flags, heads, counts', async () => {
    const db = audit.database.db;
    const { about } = await harness.optionsOf('first');
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
    await expect(harness.backupTo('rolled-back')).rejects.toThrow('The audit has fewer records than were signed');
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
    await using _audit = await harness.start({ CONSUMER_GROUP: `${audit.name}-again`, CHECKPOINT_FILE: join(folder, 'tail.jsonl') });
    await harness.allRecorded();
    await team.change(randomUUID(), 3);
    await until(
      async () => (await audit.collections.events.countDocuments({ entity_type: 'team' })) >= (await team.store.events.countDocuments()),
      {
        what: 'new events',
      },
    );
    await atRest();
    expect(await harness.recorded()).toBe(sent.size);
  });

  it('the topic alone makes records again, but not the ones that were signed: only a backup gives those back', async () => {
    const { about } = await harness.optionsOf('first');
    await audit.database.db.dropDatabase();
    await using _audit = await harness.start({ CONSUMER_GROUP: `${audit.name}-empty`, CHECKPOINT_FILE: join(folder, 'empty.jsonl') });
    await harness.allRecorded();
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
      await using _audit = await harness.start({ CONSUMER_GROUP: `${audit.name}-again`, CHECKPOINT_FILE: join(folder, 'tail.jsonl') });
      await harness.writeWhile(async () => {
        const size = await harness.recorded();
        await until(async () => (await harness.recorded()) > size + 30, { timeoutMs: 200_000, what: 'more records' });
        const { about } = await harness.backupTo('second', { checkpointFile: join(folder, 'tail.jsonl') });
        await takeKeysBackup({ keyring: audit.keyring.db, to: join(folder, 'second-keys'), of: 'second' });
        sizes = new Map(about.logs.map((log) => [log.log_id, log.size]));
      });
    }
    await harness.dropAll();
    team.hold(true);
    await newTopics();
    const restored = await restoreBackup(await harness.optionsOf('second', { keys: await openBackup(join(folder, 'second-keys')) }));
    expect(restored.documents).toBeGreaterThan(restored.records);
    await using _audit = await harness.start({
      CONSUMER_GROUP: `${audit.name}-new`,
      CHECKPOINT_FILE: join(folder, 'new.jsonl'),
      SERVICE_ADDRESSES: `team=${team.address}`,
    });
    team.hold(false);
    await team.store.rebuild();
    await team.change(randomUUID(), 3);
    await harness.sendOne(1);
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
    const { about } = await harness.optionsOf('second');
    await until(async () => (await verifyRestored({ db: audit.database.db, about, keys, files: [] })).ok, {
      what: 'the audit at rest, verified',
    });
  });
});
