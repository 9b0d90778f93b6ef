import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repository } from './layout.ts';

/** It could not be started, or was killed. */
const FAILED = 2;

interface Script {
  /** Folder of the service. */
  cwd: string;
  script: string;
}

/** A command of the audit's own; nothing of it is imported here. */
export function auditScript(path: string): Script {
  return serviceScript('audit', path);
}

export function serviceScript(service: string, path: string): Script {
  const cwd = join(repository, 'services', service);
  return { cwd, script: join(cwd, 'src', path) };
}

/** Runs a service's command to its end, with our terminal and signals; gives its exit code. */
export async function runScript(run: Script & { args: readonly string[]; env?: Record<string, string> }): Promise<number> {
  const argv = ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', run.script, ...run.args];
  const child = spawn(process.execPath, argv, { cwd: run.cwd, stdio: 'inherit', env: { ...process.env, ...run.env } });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of signals) process.on(signal, pass);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? FAILED));
    });
  } finally {
    for (const signal of signals) process.off(signal, pass);
  }
}
