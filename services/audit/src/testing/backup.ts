import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBackup } from '@biz/backup';
import { until } from '@biz/testing';
import { aboutOf } from '../backup/about.ts';
import { type BackupResult, takeBackup } from '../backup/backup.ts';
import type { RestoreOptions } from '../backup/restore.ts';
import { logSigners } from '../integrity/signing.ts';
import { LogKeys } from '../verify/log-keys.ts';
import { auditHarness, envelope } from './harness.ts';
import { teamService } from './team.ts';

export const ORIGIN = 'biz-retail.local/audit';
export const PARTITIONS = 3;
/** Few, so that each gets events all the time, and from several partitions. */
const ENTITIES = 12;
/** Several fleets may share the machine. */
export const LONG_MS = 300_000;
export const PERSON = 'Anastasia Marcada';

/** An audit and a service that are written to, backed up into a folder, lost and restored. */
export async function backupHarness() {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'biz-backup-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const audit = stack.use(await auditHarness({ partitions: PARTITIONS }));
  const team = stack.use(await teamService(audit));
  const outside = join(folder, 'audit.jsonl');
  const keys = new LogKeys(ORIGIN, logSigners(ORIGIN, audit.env.CHECKPOINT_KEY as string)('any').publicKey);
  /** Ids of all events that were sent or appended. */
  const sent = new Set<string>();

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
    await audit.send([message], (n + Math.floor(n / ENTITIES)) % PARTITIONS);
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

  const opened = stack.move();
  return {
    ...{ audit, team, folder, outside, keys, sent },
    ...{ start, sendOne, writeWhile, recorded, allRecorded, backupTo, optionsOf, dropAll },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

export type BackupHarness = Awaited<ReturnType<typeof backupHarness>>;
