import { claimName, endLeftovers, forgetProcess, notedProcesses } from './processes.ts';
import { type Folders, type ProcessSpec, type Say, Supervised } from './supervised.ts';

const LEFTOVER_GRACE_MS = 15_000;
const ORDER = ['gateway', 'services', 'telemetry', 'engines'] as const;
const OWN_NOTE = 'supervisor';

/**
 * Keeps the processes of one clone running. Only one at a time may own the folder of notes: a second one fails with the first one's
 * pid. What a supervisor that was killed left running is ended first.
 */
export async function createSupervisor(options: { folders: Folders; say: Say }): Promise<Supervisor> {
  const { folders, say } = options;
  const owner = await claimName(folders.run, OWN_NOTE);
  if (owner !== undefined) throw new AlreadyRunning(owner);
  const leftovers = await endLeftovers(folders.run, LEFTOVER_GRACE_MS);
  return new Supervisor(folders, say, leftovers);
}

export class AlreadyRunning extends Error {
  readonly pid: number;
  constructor(pid: number) {
    super(`the fleet of this clone runs already (pid ${pid}); "npm run status" shows it`);
    this.pid = pid;
  }
}

export class Supervisor implements AsyncDisposable {
  readonly processes = new Map<string, Supervised>();
  /** Names of what an earlier supervisor had left running. */
  readonly leftovers: readonly string[];
  #folders: Folders;
  #say: Say;
  #stopped: Promise<void> | undefined;

  constructor(folders: Folders, say: Say, leftovers: readonly string[]) {
    this.#folders = folders;
    this.#say = say;
    this.leftovers = leftovers;
  }

  /** Starts a process and keeps it running from then on. Resolves when it is ready for the first time. */
  async start(spec: ProcessSpec): Promise<Supervised> {
    if (this.#stopped !== undefined) throw new Error(`${spec.name} is not started: everything is being stopped`);
    if (this.processes.has(spec.name)) throw new Error(`${spec.name} is started already`);
    const supervised = new Supervised(spec, this.#folders, this.#say);
    this.processes.set(spec.name, supervised);
    await supervised.start();
    return supervised;
  }

  /** Stops everything in order: the gateway, then services, what takes their telemetry, then engines. Each gets its time, then is forced. Never fails halfway. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stopAll(): Promise<void> {
    for (const layer of ORDER) {
      const members = [...this.processes.values()].filter((member) => member.spec.layer === layer);
      await Promise.allSettled(members.map((member) => member.stop()));
    }
    await forgetProcess(this.#folders.run, OWN_NOTE);
  }
}

/** The supervisor that owns the folder, when one lives. */
export async function runningSupervisor(runFolder: string): Promise<number | undefined> {
  const note = (await notedProcesses(runFolder)).find((one) => one.name === OWN_NOTE);
  return note?.alive ? note.pid : undefined;
}

export { describe, type Ending, type Folders, type News, type ProcessSpec, type Say } from './supervised.ts';
