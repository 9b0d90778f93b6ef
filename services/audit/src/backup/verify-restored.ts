import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Db } from 'mongodb';
import type { LogKeys } from '../verify/log-keys.ts';
import { mongoSource } from '../verify/mongo-source.ts';
import { openOutside } from '../verify/outside.ts';
import { type VerifyResult, verifyAudit } from '../verify/verify.ts';
import type { About } from './about.ts';
import { isThere } from './outside-file.ts';

/**
 * The offline verifier on what was restored, against the first of the files of checkpoints that is there; without any against those that the backup
 * itself was taken by.
 */
export async function verifyRestored(parts: {
  db: Db;
  about: About;
  keys: LogKeys;
  files: readonly (string | undefined)[];
}): Promise<VerifyResult> {
  await using stack = new AsyncDisposableStack();
  let file: string | undefined;
  for (const one of parts.files) if (file === undefined && one !== undefined && (await isThere(one))) file = one;
  if (file === undefined) {
    const folder = await mkdtemp(join(tmpdir(), 'biz-restore-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    file = join(folder, 'checkpoints.txt');
    await writeFile(file, parts.about.logs.map(({ checkpoint }) => checkpoint).join('\n'));
  }
  const outside = stack.use(await openOutside(file));
  return await verifyAudit(mongoSource(parts.db, outside), { keys: parts.keys, settleMs: 0 });
}
