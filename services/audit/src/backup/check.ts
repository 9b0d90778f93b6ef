import type { Backup } from '@biz/backup';
import { BSON, type Document } from 'mongodb';
import { placeOf } from '../keys.ts';
import type { LogKeys } from '../verify/log-keys.ts';
import { type About, aboutOf } from './about.ts';
import { Leaves } from './leaves.ts';

/**
 * A backup looked at without any database: every file is what it was, every document can be read, the checkpoints are signed by the key, and
 * the records lead to the roots that were signed. Gives how many documents there are. BackupFault names the file or the log that is wrong.
 */
export async function checkBackup(
  backup: Backup,
  keys: LogKeys,
  onProgress: (text: string) => void = () => undefined,
): Promise<{ documents: number; about: About }> {
  const about = aboutOf(backup.manifest, keys);
  await backup.check((done, total) => onProgress(`files: ${Math.floor((100 * done) / Math.max(1, total))} %`));
  const logs = new Map(about.logs.map((log) => [log.log_id, new Leaves(log)]));
  let documents = 0;
  for (const entry of backup.manifest.collections) {
    const isRecords = entry.database === about.audit_database && entry.collection === 'records';
    for await (const part of backup.parts(entry)) {
      for (const raw of part) {
        const document = BSON.deserialize(raw);
        if (isRecords) leavesOf(logs, document).add(document);
      }
      documents += part.length;
      onProgress(`${entry.database}.${entry.collection}: ${documents.toLocaleString('en')} documents in all`);
    }
  }
  for (const leaves of logs.values()) leaves.end();
  return { documents, about };
}

function leavesOf(logs: ReadonlyMap<string, Leaves>, document: Document): Leaves {
  const id = String(document._id);
  // one that is of no log of the backup stands in the place of none
  return logs.get(placeOf(id).log) ?? new Leaves({ log_id: placeOf(id).log, size: 0, root: '' });
}
