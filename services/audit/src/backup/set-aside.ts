import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BackupFault } from '@biz/backup';
import { type Signer, signNote } from '@biz/merkle';
import type { About } from './about.ts';
import { beyond, isThere, linesUpTo, type Sizes } from './outside-file.ts';

/** What is said, signed, when checkpoints that were kept outside are ahead of what was restored. */
export interface Statement {
  at: string;
  /** Who decided it, and why: as they gave it. */
  by: string;
  reason: string;
  /** The backup that was restored, and its moment. */
  backup: string;
  cut_at: string;
  /** The file with the later checkpoints, as it is kept on, and its SHA-256. */
  file: string;
  sha256: string;
  logs: { log_id: string; restored_size: number; restored_root: string; last_signed_size: number; last_signed_root: string }[];
}

export interface SetAside {
  statement: Statement;
  /** Where the statement is, as a signed note, and where the file went. */
  statementFile: string;
  file: string;
}

export interface SetAsideOptions {
  /** The file of checkpoints that the audit appends to. */
  file: string;
  about: About;
  backup: string;
  signer: Signer;
  by: string;
  reason: string;
  now?: () => Date;
}

/** Name under which statements are signed, with the key that signs checkpoints. */
export function statementSigner(prefix: string): string {
  return `${prefix}/restore`;
}

/** BackupFault when checkpoints kept outside are ahead of the backup: what they are about would be lost without a word. */
export async function assertNotAhead(file: string, about: About): Promise<void> {
  const ahead = await beyond(file, sizesOf(about));
  if (ahead.size === 0) return;
  const lines = [...ahead.values()].map(
    ({ log_id, size }) => `  ${log_id}: signed up to ${size}, in the backup up to ${sizesOf(about).get(log_id) ?? 0}`,
  );
  throw new BackupFault(
    [
      `${file} has checkpoints of more than is in this backup (of ${about.cut_at}):`,
      ...lines,
      'Is there a later backup? If not: --set-aside --by NAME --reason TEXT keeps that file under another name, with a signed statement of what was restored',
      'and why, begins a new file, and records it in the audit. See docs/runbooks/restore.md.',
    ].join('\n'),
  );
}

/**
 * Moves the file of checkpoints aside and begins one that holds what fits the backup. A signed statement stands beside it before it is moved,
 * so that no checkpoint ever vanishes unexplained. When nothing in it is ahead, gives what was said when this backup was begun to be restored before, else
 * undefined. Cut short, it is done again.
 */
export async function setAside(options: SetAsideOptions): Promise<SetAside | undefined> {
  const { file, about, backup, signer, by, reason, now = () => new Date() } = options;
  const sizes = sizesOf(about);
  const ahead = await beyond(file, sizes);
  if (ahead.size === 0) return saidBefore(file, backup);
  const at = now().toISOString();
  const aside = `${file}.${at.replaceAll(/[-:.]/g, '')}.aside`;
  const statement: Statement = {
    ...{ at, by, reason, backup, cut_at: about.cut_at },
    ...{ file: basename(aside), sha256: await sumOf(file) },
    logs: [...ahead.values()].map(({ log_id, size, checkpoint }) => ({
      log_id,
      restored_size: sizes.get(log_id) ?? 0,
      restored_root: about.logs.find((log) => log.log_id === log_id)?.root ?? '',
      last_signed_size: size,
      last_signed_root: checkpoint.split('\n')[2] ?? '',
    })),
  };
  const statementFile = `${aside}.statement`;
  await write(statementFile, [signNote(`${signer.name}\n${JSON.stringify(statement)}\n`, [signer])]);
  const next = `${file}.next`;
  await write(next, linesUpTo(file, sizes));
  await rename(file, aside);
  await rename(next, file);
  return { statement, statementFile, file: aside };
}

/** The newest statement beside the file about this backup: the file had been moved when the restore was cut short. */
async function saidBefore(file: string, backup: string): Promise<SetAside | undefined> {
  const names = await readdir(dirname(file)).catch((): string[] => []);
  for (const name of names
    .filter((one) => one.startsWith(`${basename(file)}.`) && one.endsWith('.aside.statement'))
    .toSorted()
    .reverse()) {
    const statementFile = join(dirname(file), name);
    const statement = statementIn(await readFile(statementFile, 'utf8'));
    if (statement?.backup === backup) return { statement, statementFile, file: join(dirname(file), statement.file) };
  }
  return undefined;
}

function statementIn(note: string): Statement | undefined {
  try {
    return JSON.parse(note.split('\n')[1] ?? '') as Statement;
  } catch {
    // torn: its file was never moved
    return undefined;
  }
}

/** Where no file is, that of the backup becomes it. */
export async function beginFile(file: string, ofBackup: string): Promise<void> {
  if (await isThere(file)) return;
  await mkdir(dirname(file), { recursive: true });
  const draft = join(dirname(file), `.${basename(file)}.restored`);
  await copyFile(ofBackup, draft);
  await rename(draft, file);
}

async function write(path: string, content: Iterable<string> | AsyncIterable<string>): Promise<void> {
  await using handle = await open(path, 'w', 0o600);
  for await (const text of content) await handle.appendFile(text);
  await handle.datasync();
}

async function sumOf(file: string): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of createReadStream(file)) sum.update(chunk as Buffer);
  return sum.digest('hex');
}

function sizesOf({ logs }: About): Sizes {
  return new Map(logs.map(({ log_id, size }) => [log_id, size]));
}
