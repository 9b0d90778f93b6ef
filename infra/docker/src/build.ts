import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import type Dockerignore from '@balena/dockerignore';
import { assignment, expand, readDockerfile, type Stage, type Step } from './dockerfile.ts';

const run = promisify(execFile);
/** Its declarations promise a default export, which the module does not have. */
const dockerignore = createRequire(import.meta.url)('@balena/dockerignore') as typeof Dockerignore.default;

/**
 * Does what the Dockerfile says, without Docker: every stage is a folder that stands for its root, in which COPY and RUN are done for real with this
 * machine's shell and this process's Node in place of the base image's. What it cannot tell is whether the base image has what the steps need.
 * Commands must name files relative to their WORKDIR: there is no change of root.
 */
export function createBuilder({ folder, context, say }: BuilderOptions): (args: Record<string, string>) => Promise<Built> {
  const { globals, stages } = readDockerfile();
  const done = new Map<string, Promise<State>>();
  const make = (name: string, args: Record<string, string>): Promise<State> => {
    const stage = stages.find((candidate) => candidate.name === name);
    if (!stage) throw new Error(`the Dockerfile has no stage ${name}`);
    const key = JSON.stringify([name, dependsOnArguments(stage) ? args : {}]);
    const made =
      done.get(key) ?? perform(stage, args, join(folder, `${name}-${createHash('sha256').update(key).digest('hex').slice(0, 8)}`));
    done.set(key, made);
    return made;
  };
  /** As Docker sees it: a stage that reads no argument, nor is made of one that does, is made once. */
  const dependsOnArguments = ({ base, steps }: Stage): boolean =>
    steps.some(({ kind }) => kind === 'ARG') ||
    stages.some((other) => (other.name === base || steps.some(({ from }) => from === other.name)) && dependsOnArguments(other));
  const perform = async (stage: Stage, args: Record<string, string>, root: string): Promise<State> => {
    const kept = await readFile(`${root}.json`, 'utf8').catch(() => undefined);
    if (kept !== undefined) return JSON.parse(kept) as State;
    await rm(root, { recursive: true, force: true });
    await mkdir(root, { recursive: true });
    const state: State = { root, workdir: '/', env: {}, values: {} };
    const base = stages.some(({ name }) => name === stage.base) ? await make(stage.base, args) : undefined;
    if (base) {
      await run('cp', ['-al', `${base.root}/.`, root]); // a stage adds files, and replaces none in place
      Object.assign(state, { workdir: base.workdir, env: { ...base.env }, values: { ...base.values } });
    }
    for (const step of stage.steps) await execute(step, state, args);
    await writeFile(`${root}.json`, JSON.stringify(state));
    return state;
  };
  const execute = async (step: Step, state: State, args: Record<string, string>): Promise<void> => {
    const inside = (path: string) => join(state.root, path.startsWith('/') ? path : join(state.workdir, path));
    if (step.kind === 'ARG') {
      const [name, fallback] = assignment(step.text);
      state.values[name] = args[name] ?? (fallback || (globals.get(name) ?? ''));
    } else if (step.kind === 'ENV') {
      const [name, value] = assignment(step.text);
      state.env[name] = expand(value, state.values);
    } else if (step.kind === 'WORKDIR') {
      state.workdir = expand(step.text, state.values);
      await mkdir(inside('.'), { recursive: true });
    } else if (step.kind === 'COPY') {
      const [source = '', target = ''] = step.args.map((text) => expand(text, state.values));
      const to = inside(target);
      await mkdir(to, { recursive: true });
      if (step.from === undefined) await copyContext(join(context, source), to);
      else await run('cp', ['-a', '--reflink=auto', `${join((await make(step.from, args)).root, source)}/.`, to]);
    } else if (step.kind === 'RUN') {
      say(`RUN ${step.text.slice(0, 100)}`);
      await shell(step.text, inside('.'), { ...state.values, ...state.env });
    }
  };
  return async (args) => {
    const last = stages.at(-1);
    if (!last) throw new Error('the Dockerfile has no stage');
    const { root, workdir, env } = await make(last.name, args);
    return { root, workdir, env, stage: last };
  };
}

async function shell(command: string, cwd: string, env: Record<string, string>): Promise<void> {
  const path = `${join(process.execPath, '..')}:${process.env.PATH}`;
  // with this machine's environment: a proxy or an authority of its own may stand before the registry
  const options = { cwd, env: { ...process.env, ...env, PATH: path }, maxBuffer: 64 * 1024 * 1024 };
  await run('sh', ['-c', command], options).catch((error: Error & { stdout?: string; stderr?: string }) => {
    throw new Error(`RUN ${command}\nin ${cwd} failed:\n${error.stdout?.slice(-2_000)}\n${error.stderr?.slice(-4_000)}`);
  });
}

/** What Docker would send, without what `.dockerignore` names. */
async function copyContext(source: string, target: string): Promise<void> {
  const rules = dockerignore().add(await readFile(join(source, '.dockerignore'), 'utf8'));
  await cp(source, target, {
    recursive: true,
    filter: (path) => path === source || !rules.ignores(relative(source, path)),
  });
}

interface State {
  root: string;
  workdir: string;
  env: Record<string, string>;
  /** Of ARG. */
  values: Record<string, string>;
}

export interface Built {
  /** Stands for the root of the image. */
  root: string;
  workdir: string;
  env: Record<string, string>;
  stage: Stage;
}

interface BuilderOptions {
  /** Holds a folder for each stage; one that a former run finished is not made again. */
  folder: string;
  /** What Docker is given: the repository. */
  context: string;
  say: (line: string) => void;
}
