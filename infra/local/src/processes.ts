import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { outputOf } from './command.ts';

/**
 * When the process was started, in whatever unit the system has: together with its pid it names one process for good, since pids are
 * used again. Undefined when there is none, or only its zombie.
 */
export async function startedAt(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return (await outputOf('ps', ['-o', 'lstart=', '-p', String(pid)])) || undefined;
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The command's name, in brackets, may hold anything: fields are counted from its end (proc_pid_stat(5): state is 3, starttime 22).
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields?.[0] === 'Z' ? undefined : fields?.[19];
}

/** Whether the process noted then is the one that runs under this pid now. */
export async function isSameProcess(noted: { pid: number; started?: string | undefined }): Promise<boolean> {
  const now = await startedAt(noted.pid);
  return now !== undefined && now === noted.started;
}

/** Notes a process in `folder`, so that a later start finds it when its supervisor died. */
export async function noteProcess(folder: string, name: string, pid: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const note: ProcessNote = { name, pid, started: await startedAt(pid) };
  const file = join(folder, `${name}.json`);
  await writeFile(`${file}.part`, JSON.stringify(note));
  await rename(`${file}.part`, file);
}

/** Notes this process under a name that only one living process may have; gives the other's pid when there is one. */
export async function claimName(folder: string, name: string): Promise<number | undefined> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${name}.json`);
  const note: ProcessNote = { name, pid: process.pid, started: await startedAt(process.pid) };
  for (;;) {
    try {
      await writeFile(file, JSON.stringify(note), { flag: 'wx' });
      return undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const other = await readNote(file);
    if (other !== undefined && (await isSameProcess(other))) return other.pid;
    await rm(file, { force: true });
  }
}

export async function forgetProcess(folder: string, name: string): Promise<void> {
  await rm(join(folder, `${name}.json`), { force: true });
}

/** Every process noted, with whether it lives. */
export async function notedProcesses(folder: string): Promise<(ProcessNote & { alive: boolean })[]> {
  const files = await readdir(folder).catch(() => []);
  const notes = files.filter((file) => file.endsWith('.json')).map((file) => readNote(join(folder, file)));
  const read = (await Promise.all(notes)).filter((note) => note !== undefined);
  return Promise.all(read.map(async (note) => ({ ...note, alive: await isSameProcess(note) })));
}

/** Ends what an earlier supervisor left behind: asks each process group, then forces it after `graceMs`. Gives the names ended. */
export async function endLeftovers(folder: string, graceMs: number): Promise<string[]> {
  const left = (await notedProcesses(folder)).filter((note) => note.alive && note.pid !== process.pid);
  for (const note of left) signalGroup(note.pid, 'SIGTERM');
  const deadline = Date.now() + graceMs;
  for (const note of left) {
    while ((await isSameProcess(note)) && Date.now() < deadline) await pause(50);
    if (await isSameProcess(note)) signalGroup(note.pid, 'SIGKILL');
    await forgetProcess(folder, note.name);
  }
  return left.map((note) => note.name);
}

/** Signals a process and all it started, which share its group; one that is gone is no error. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function readNote(file: string): Promise<ProcessNote | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ProcessNote;
  } catch {
    return undefined; // half written or just removed
  }
}

export interface ProcessNote {
  name: string;
  pid: number;
  started: string | undefined;
}
