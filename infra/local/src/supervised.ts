import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { forgetProcess, noteProcess, signalGroup } from './processes.ts';

const BACK_OFF_MS = [100, 500, 1_000, 2_000, 5_000, 10_000];
/** A process that ran this long starts its back-off anew. */
const STEADY_MS = 30_000;
const POLL_MS = 100;
const LARGEST_LOG_BYTES = 16 * 1024 * 1024;

/** Pids of children that run. A supervisor that has to end without stopping them leaves none behind. */
const running = new Set<number>();
process.on('exit', () => {
  for (const pid of running) signalGroup(pid, 'SIGKILL');
});

/**
 * One process kept alive: started in a group of its own with its output in a log file, started again with back-off whenever it
 * ends by itself, until it is stopped.
 */
export class Supervised {
  readonly spec: ProcessSpec;
  readonly logFile: string;
  /** What the process said of itself when it became ready. */
  address: string | undefined;
  restarts = 0;
  #folders: Folders;
  #say: Say;
  #child: ChildProcess | undefined;
  #stopping = new AbortController();
  #failures = 0;
  #ready = false;
  #keeping: Promise<void> | undefined;

  constructor(spec: ProcessSpec, folders: Folders, say: Say) {
    this.spec = spec;
    this.#folders = folders;
    this.#say = say;
    this.logFile = join(folders.logs, `${spec.name}.log`);
  }

  get pid(): number | undefined {
    return this.#child?.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  /** The pid once it is ready: one that was started again a moment ago takes no requests yet. */
  get readyPid(): number | undefined {
    return this.#ready ? this.pid : undefined;
  }

  /** Starts it. Resolves when it is ready; fails with its log's last lines when it ends before, or is not ready in time. */
  async start(): Promise<void> {
    rotate(this.logFile);
    const { ended } = await this.#begin();
    this.#keeping = this.#keep(ended);
  }

  /** Asks its group to end, forces it after the time it is given, and waits until it is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const pid = this.pid;
    if (pid !== undefined) {
      const ended = endOf(this.#child);
      signalGroup(pid, 'SIGTERM');
      const force = setTimeout(() => {
        this.#say({ event: 'forced', name: this.spec.name });
        signalGroup(pid, 'SIGKILL');
      }, this.spec.stopWithinMs);
      await ended;
      clearTimeout(force);
      signalGroup(pid, 'SIGKILL'); // whatever it started and left
    }
    await this.#keeping;
    await forgetProcess(this.#folders.run, this.spec.name);
  }

  async #keep(first: Promise<Ending>): Promise<void> {
    for (let ended = first; ; ) {
      const started = Date.now();
      const ending = await ended;
      if (this.#stopping.signal.aborted) return;
      this.#failures = Date.now() - started > STEADY_MS ? 0 : this.#failures + 1;
      const waitMs = BACK_OFF_MS[Math.min(this.#failures, BACK_OFF_MS.length) - 1] ?? BACK_OFF_MS[0] ?? 0;
      this.#say({ event: 'died', name: this.spec.name, ending, waitMs, logFile: this.logFile });
      const next = await this.#again(waitMs);
      if (next === undefined) return;
      ended = next.ended;
    }
  }

  /** Tries until it is ready again; undefined when it was stopped meanwhile. */
  async #again(waitMs: number): Promise<{ ended: Promise<Ending> } | undefined> {
    for (let wait = waitMs; !this.#stopping.signal.aborted; ) {
      await pause(wait, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (this.#stopping.signal.aborted) return undefined;
      try {
        const begun = await this.#begin();
        this.restarts++;
        this.#say({ event: 'back', name: this.spec.name });
        return begun;
      } catch (error) {
        if (this.#stopping.signal.aborted) return undefined;
        wait = BACK_OFF_MS[Math.min(++this.#failures, BACK_OFF_MS.length) - 1] ?? waitMs;
        this.#say({ event: 'failed', name: this.spec.name, error, waitMs: wait });
      }
    }
    return undefined;
  }

  /** The ending is wrapped: a promise given bare would be awaited on the way. */
  async #begin(): Promise<{ ended: Promise<Ending> }> {
    this.#ready = false;
    const child = this.#spawn();
    this.#child = child;
    const ended = endOf(child);
    const { pid } = child;
    if (pid !== undefined) {
      running.add(pid);
      void ended.then(() => running.delete(pid));
      await noteProcess(this.#folders.run, this.spec.name, pid);
    }
    const given = new AbortController();
    const outcome = await Promise.race([this.#becomesReady(child, given.signal), ended]);
    given.abort();
    if (outcome === 'ready') {
      this.#ready = true;
      return { ended };
    }
    if (outcome === 'late' && child.pid !== undefined) {
      signalGroup(child.pid, 'SIGKILL');
      await ended;
    }
    const how =
      outcome === 'late' ? `was not ready within ${this.spec.readyWithinMs / 1000} s` : `ended while starting (${describe(outcome)})`;
    throw new Error(`${this.spec.name} ${how}; see ${this.logFile}${lastLines(this.logFile)}`);
  }

  #spawn(): ChildProcess {
    mkdirSync(this.#folders.logs, { recursive: true });
    const log = openSync(this.logFile, 'a', 0o600);
    const { command, args, cwd, env } = this.spec;
    try {
      return spawn(command, args, {
        detached: true,
        stdio: this.spec.ready === 'ipc' ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
        env: { ...inherited(), ...env },
        ...(cwd === undefined ? {} : { cwd }),
      });
    } finally {
      closeSync(log);
    }
  }

  async #becomesReady(child: ChildProcess, given: AbortSignal): Promise<'ready' | 'late'> {
    const deadline = Date.now() + this.spec.readyWithinMs;
    let said = false;
    child.on('message', (message: unknown) => {
      if (!isReadyMessage(message)) return;
      this.address = message.address;
      said = true;
    });
    while (Date.now() < deadline && !given.aborted) {
      const ready = this.spec.ready === 'ipc' ? said : await this.spec.ready().catch(() => false);
      if (ready) return 'ready';
      await pause(POLL_MS);
    }
    return 'late';
  }
}

/** How it ended, in words for people. */
export function describe(ending: Ending): string {
  if (ending.error !== undefined) return ending.error.message;
  return ending.signal === null ? `exit code ${ending.code}` : `signal ${ending.signal}`;
}

function endOf(child: ChildProcess | undefined): Promise<Ending> {
  return new Promise((resolve) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return resolve({ code: child?.exitCode ?? null, signal: child?.signalCode ?? null });
    }
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, error });
    });
  });
}

/** A child gets what programs need of a system, and nothing else of the environment that its supervisor was started in. */
function inherited(): Record<string, string> {
  const names = [
    'PATH',
    'HOME',
    'TMPDIR',
    'TZ',
    'LANG',
    'LC_ALL',
    'JAVA_HOME',
    'SSL_CERT_FILE',
    'NODE_EXTRA_CA_CERTS',
    'NODE_COMPILE_CACHE',
  ];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

function rotate(file: string): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LARGEST_LOG_BYTES) renameSync(file, `${file}.1`);
}

/** The end of a log, from its last error on; of JSON lines only the message. */
function lastLines(file: string): string {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-20).map(messageOf);
  const error = lines.findLastIndex((line) => /^\w*error|exception|could not|cannot/i.test(line));
  const shown = error === -1 ? lines.slice(-5) : lines.slice(error, error + 5);
  return shown.map((line) => `\n    ${line.slice(0, 400)}`).join('');
}

function messageOf(line: string): string {
  if (!line.startsWith('{')) return line;
  try {
    const { msg, message } = JSON.parse(line) as { msg?: unknown; message?: unknown };
    return String(msg ?? message ?? line);
  } catch {
    return line;
  }
}

function isReadyMessage(message: unknown): message is { ready: true; address?: string } {
  return typeof message === 'object' && message !== null && 'ready' in message && message.ready === true;
}

/** What to start, and how to see that it is ready. */
export interface ProcessSpec {
  name: string;
  /** Layers are stopped from the last to the first. */
  layer: 'engines' | 'telemetry' | 'services' | 'gateway';
  command: string;
  args: string[];
  cwd?: string;
  env?: Record<string, string>;
  /** `ipc`: it sends `{ready: true, address}` to its parent. Else asked again and again; throwing is a no. */
  ready: 'ipc' | (() => Promise<boolean>);
  readyWithinMs: number;
  stopWithinMs: number;
}

export interface Folders {
  logs: string;
  /** Notes of the processes that run. */
  run: string;
}

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  error?: Error;
}

/** What a supervisor tells of its processes. */
export type News =
  | { event: 'died'; name: string; ending: Ending; waitMs: number; logFile: string }
  | { event: 'failed'; name: string; error: unknown; waitMs: number }
  | { event: 'back'; name: string }
  | { event: 'forced'; name: string };

export type Say = (news: News) => void;
