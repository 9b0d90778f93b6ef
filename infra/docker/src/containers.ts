import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, lstat, mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Built } from './build.ts';
import { type ComposeService, mountsOf } from './compose.ts';
import { commandOf } from './dockerfile.ts';

/** The user `node` of the base image. As root its rights are taken on, so that a write to what only root may write fails as in a container. */
const user = process.getuid?.() === 0 ? { uid: 1000, gid: 1000 } : {};

const PATIENCE_MS = 120_000;

/** Runs a service of the Compose file from what was built, as a container would: its environment, its volumes, its command. */
export async function runContainer(options: ContainerOptions): Promise<Container> {
  const { name, service, built, volumes, translate } = options;
  await mount(service, built, volumes);
  const env = { ...built.env, ...environmentOf(service, built, translate) };
  const [, ...args] = service.command ?? commandOf(built.stage, 'CMD');
  const cwd = join(built.root, service.working_dir ?? built.workdir);
  const started = performance.now();
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], ...user });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => said.push(String(text)));
  const [, ...check] = commandOf(built.stage, 'HEALTHCHECK');
  return {
    name,
    child,
    said,
    ended: once(child, 'exit').then(([code]) => code as number | null),
    async healthy() {
      for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await pause(50)) {
        if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}:\n${said.join('').slice(-3_000)}`);
        if ((await exitCodeOf(check, { cwd, env })) === 0) return Math.round(performance.now() - started);
      }
      throw new Error(`${name} did not become healthy:\n${said.join('').slice(-3_000)}`);
    },
  };
}

function environmentOf(service: ComposeService, built: Built, translate: (value: string) => string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(service.environment ?? {}).map(([name, value]) => [
      name,
      translate(String(value)).replaceAll('/home/node', join(built.root, 'home/node')),
    ]),
  );
}

/** A named volume is a folder of that name; where the image has a folder for it, a link takes its place. */
async function mount(service: ComposeService, built: Built, volumes: string): Promise<void> {
  for (const { source, path } of mountsOf(service)) {
    const folder = join(volumes, source);
    await mkdir(folder, { recursive: true });
    const place = join(built.root, path);
    const there = await lstat(place).catch(() => undefined);
    if (there === undefined) throw new Error(`the image has no ${path}: its volume would belong to root`);
    if (user.uid !== undefined) await chown(folder, user.uid, user.gid);
    await mkdir(dirname(place), { recursive: true });
    await rm(place, { recursive: true });
    await symlink(folder, place);
  }
}

function exitCodeOf(args: string[], options: { cwd: string; env: Record<string, string> }): Promise<number> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { ...options, ...user }, (error) => resolve(error === null ? 0 : 1));
  });
}

export interface Container {
  name: string;
  child: ChildProcess;
  /** What it printed so far. */
  said: readonly string[];
  ended: Promise<number | null>;
  /** Resolves once the image's health check says yes, with the milliseconds since the start. */
  healthy(): Promise<number>;
}

interface ContainerOptions {
  name: string;
  service: ComposeService;
  built: Built;
  /** Holds a folder for each named volume. */
  volumes: string;
  /** From an address in the Compose file's network to the one that stands for it here. */
  translate: (value: string) => string;
}
