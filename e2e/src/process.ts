import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A service's process that is ready. Disposing ends it as an orchestrator does (SIGTERM), and waits. */
export interface TestProcess extends AsyncDisposable {
  readonly address: string;
  /** Ends it without a chance to tidy up. */
  kill(): Promise<void>;
}

/** Starts a service of a release (a folder with `services/<name>`); rejects with what it logged when it ends before it is ready. */
export async function startProcess(release: string, name: string, env: Readonly<Record<string, string>>): Promise<TestProcess> {
  const cwd = join(release, 'services', name);
  const args = ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', join(cwd, 'src/main.ts')];
  const child = spawn(process.execPath, args, { cwd, env: { ...env, PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => said.push(text));
  return { address: await ready(child, name, said), kill: () => end(child, 'SIGKILL'), [Symbol.asyncDispose]: () => end(child, 'SIGTERM') };
}

async function ready(child: ChildProcess, name: string, said: readonly string[]): Promise<string> {
  const started = once(child, 'message').then(([message]) => (message as { address: string }).address);
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${name} ended with ${code} before it was ready:\n${said.join('').slice(-4000)}`);
  });
  return Promise.race([started, ended]);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
