import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

/** A registry that fails is asked again so often in all, with growing pauses. */
const FETCH_ATTEMPTS = 3;
const FETCH_PAUSE_MS = 5_000;

/** Groups of commands that run: a build of minutes does not outlive the process that wanted it. */
const running = new Set<number>();
process.on('exit', () => {
  for (const pid of running) {
    try {
      process.kill(-pid, 'SIGTERM');
    } catch {
      // it ended by itself just now
    }
  }
});

/**
 * Runs a command to its end, its output line by line to `onLine`. Fails with the last lines when it ends with another code than
 * 0, or with a line that names the command when there is no such command.
 */
export async function run(command: string, args: string[], options: RunOptions = {}): Promise<void> {
  const tail: string[] = [];
  const child = spawn(command, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  });
  if (child.pid !== undefined) running.add(child.pid);
  yieldTo(child.pid, options.priority);
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (line.trim() === '') return;
      tail.push(line);
      if (tail.length > 15) tail.shift();
      options.onLine?.(line.trim());
    });
  }
  const code = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.on('error', (cause) => reject(new Error(`${command} cannot be run: ${cause.message}`, { cause })));
    child.on('close', (exit, signal) => resolve(exit ?? signal));
  });
  if (child.pid !== undefined) running.delete(child.pid);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${tail.join('\n')}`);
}

/** As `run`, for a command that fetches from a network: Maven and Go do not ask a second time when a registry answers with an error once. */
export async function fetchBy(command: string, args: string[], options: RunOptions = {}): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run(command, args, options);
    } catch (error) {
      if (attempt === FETCH_ATTEMPTS) throw error;
      await pause(attempt * FETCH_PAUSE_MS);
    }
  }
}

/** What it starts later inherits it. One that has ended already, or a system that refuses, is no reason to fail. */
function yieldTo(pid: number | undefined, priority: number | undefined): void {
  if (pid === undefined || priority === undefined) return;
  try {
    setPriority(pid, priority);
  } catch {
    // it runs as everything else does
  }
}

/** What the command writes to its output, or undefined when it cannot be run or fails. */
export async function outputOf(command: string, args: string[]): Promise<string | undefined> {
  const lines: string[] = [];
  try {
    await run(command, args, { onLine: (line) => lines.push(line) });
    return lines.join('\n');
  } catch {
    return undefined;
  }
}

interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  onLine?: (line: string) => void;
  /** As `nice` has it: from 0, the usual one, to 19, only when nobody else wants the processor. */
  priority?: number;
}
