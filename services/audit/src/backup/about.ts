import { BackupFault, type Manifest } from '@biz/backup';
import { z } from 'zod';
import type { LogKeys } from '../verify/log-keys.ts';
import type { CutLog } from './cut.ts';

const shape = z.object({
  /** When the cut was taken. */
  cut_at: z.iso.datetime(),
  audit_database: z.string().min(1),
  keyring_database: z.string().min(1),
  /** Key-encryption keys by which the keyring's keys were wrapped: tells keys of another environment. */
  kek_ids: z.array(z.string()).default([]),
  logs: z.array(
    z.object({
      log_id: z.string().min(1),
      size: z.number().int().positive(),
      root: z.string(),
      checkpoint: z.string(),
      /** Offset after that of the last record in it: from there the topic has what is not in the backup. */
      next_offset: z.number().int().nonnegative(),
    }),
  ),
  /** Records that were there and are not in it. */
  beyond: z.number().int().nonnegative(),
});

/** What the manifest of a backup of data says of the audit. */
export type About = z.infer<typeof shape>;

/** BackupFault when it says something else, or a checkpoint is not signed by the key for what is said beside it. */
export function aboutOf({ about, id }: Manifest, keys: LogKeys): About {
  const read = shape.safeParse(about);
  if (!read.success) throw new BackupFault(`the backup ${id} says nothing of an audit: ${read.error.issues[0]?.path.join('.')}`);
  for (const log of read.data.logs) assertSigned(log, keys);
  return read.data;
}

function assertSigned({ log_id, size, root, checkpoint }: CutLog, keys: LogKeys): void {
  try {
    const signed = keys.open(checkpoint);
    if (signed.log_id === log_id && signed.size === size && signed.root.toString('base64') === root) return;
  } catch (cause) {
    throw new BackupFault(`the checkpoint of ${log_id} in the backup is not signed by this key: ${(cause as Error).message}`, { cause });
  }
  throw new BackupFault(`the checkpoint of ${log_id} in the backup is of another log, size or root than is said beside it`);
}
