import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Engine, Ports } from './engine.ts';
import { freePort } from './ports.ts';
import type { Supervisor } from './supervisor.ts';

/** Patience with an engine that somebody else runs. */
const EXTERNAL_MS = 20_000;

/**
 * Where an engine is, or will be: the address in the environment when there is one (it always wins), else ports of this machine, chosen now
 * so that others can be told of them while the engine is still being installed.
 */
export async function locate(engine: Engine, env: NodeJS.ProcessEnv = process.env): Promise<Located> {
  const given = env[engine.variable];
  if (given) return { engine, address: given, external: true, ports: {} };
  const ports: Record<string, number> = {};
  for (const name of engine.ports) ports[name] = await freePort();
  return { engine, address: engine.address(ports), external: false, ports };
}

/** Installs and starts it under the supervisor, unless it is somebody else's. Resolves when it is ready. */
export async function bringUp(located: Located, options: BringUpOptions): Promise<void> {
  const { engine, ports } = located;
  const { cache, folder, supervisor, progress } = options;
  if (located.external) return awaitAnswer(located, progress);
  const installed = await engine.install({ cache, progress });
  progress('starting');
  const context = { ...installed, dataDir: dataFolder(folder, engine), ports };
  const specs = [await engine.process(context), ...((await engine.others?.(context)) ?? [])];
  await Promise.all(specs.map((spec) => supervisor.start(spec)));
}

async function awaitAnswer({ engine, address }: Located, progress: (text: string) => void): Promise<void> {
  progress('waiting for its answer');
  for (const deadline = Date.now() + EXTERNAL_MS; ; await pause(500)) {
    if (await engine.answers(address).catch(() => false)) return;
    // Without the address: it may hold a password.
    if (Date.now() > deadline) throw new Error(`${engine.name} does not answer at the address in ${engine.variable}`);
  }
}

/** Where an engine keeps its data. */
export function dataFolder(folder: string, engine: Engine): string {
  return join(folder, 'data', engine.name);
}

export interface Located {
  engine: Engine;
  /** What goes into the engine's variable. */
  address: string;
  /** It was given by the environment; nothing is started. */
  external: boolean;
  ports: Ports;
}

interface BringUpOptions {
  cache: string;
  /** Holds `data`. */
  folder: string;
  supervisor: Supervisor;
  progress: (text: string) => void;
}
