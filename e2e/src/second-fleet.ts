// A fleet of its own for tests that destroy what a fleet lives on: begun, stopped and begun again in one folder, as a person does with `npm start`.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type RunFile, repository } from '@biz/local';
import { Agent, fetch } from 'undici';
import type { Answer } from './client.ts';
import { currentRun } from './fleet.ts';

/** Engines of other tests are not for it; people log in at the Keycloak of the fleet under test, which is no part of what is lost. */
const elsewhere = Object.fromEntries(
  ['MONGODB_URL', 'KAFKA_BROKERS', 'SMTP_URL', 'ELASTICSEARCH_URL', 'POSTGRESQL_URL', 'OTEL_EXPORTER_OTLP_ENDPOINT'].map((name) => [
    name,
    '',
  ]),
);
const LONGEST_START_MS = 10 * 60_000;

export interface Said {
  code: number | null;
  text: string;
}

/** When a command is killed (kill -9): once it has said this, or this has come (or failed to). */
export interface Kill {
  on?: string;
  when?: Promise<unknown>;
}

/** A command of the repository in the folder of a fleet; gives its exit code (null when it was killed) and what it said. */
export function command(folder: string, args: readonly string[], kill: Kill = {}): Promise<Said> {
  return told(bootstrap(folder, args), kill);
}

/** Commands of a shell, as a person copies them from a runbook. */
export function shell(folder: string, script: string, env: Readonly<Record<string, string>>): Promise<Said> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: repository,
    env: { ...process.env, ...elsewhere, BIZ_LOCAL_DIR: folder, LOCAL: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  return told(child, {});
}

async function told(child: ChildProcess, kill: Kill): Promise<Said> {
  const end = () => child.pid !== undefined && child.exitCode === null && child.signalCode === null && killTree(child.pid);
  kill.when?.then(end, end);
  const said: string[] = [];
  const streams = [child.stdout, child.stderr].map(async (stream) => {
    if (stream === null) return;
    for await (const line of createInterface({ input: stream })) {
      said.push(line);
      if (kill.on !== undefined && line.includes(kill.on)) end();
    }
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  await Promise.all([...streams, kill.when]);
  return { code, text: said.join('\n') };
}

/** kill -9 of everything that the command began, but for what it runs as processes of their own (engines). */
function killTree(pid: number): void {
  process.kill(-pid, 'SIGKILL');
}

function bootstrap(folder: string, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [join('infra', 'local', 'bootstrap.mjs'), ...args], {
    cwd: repository,
    env: {
      ...process.env,
      ...elsewhere,
      KEYCLOAK_URL: currentRun().keycloak_url,
      BIZ_LOCAL_DIR: folder,
      // nothing is asked of it, and the machine has enough to do
      OTEL_SDK_DISABLED: 'true',
      RECONCILE_EVERY_SECONDS: '2',
      RECONCILE_GRACE_SECONDS: '2',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
}

export class SecondFleet implements AsyncDisposable {
  readonly folder: string;
  #child: ChildProcess | undefined;
  #tokens = new Map<string, { value: string; until: number }>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<SecondFleet> {
    return new SecondFleet(await mkdtemp(join(tmpdir(), 'biz-second-')));
  }

  get run(): RunFile {
    return JSON.parse(readFileSync(join(this.folder, 'run.json'), 'utf8'));
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    const child = bootstrap(this.folder, ['start', '--port', '0', '--no-tour']);
    this.#child = child;
    this.#tokens.clear();
    const said: string[] = [];
    const ready = Promise.withResolvers<void>();
    const late = setTimeout(() => ready.reject(new Error(`npm start is not ready:\n${said.join('')}`)), LONGEST_START_MS);
    child.once('exit', (code) => ready.reject(new Error(`npm start ended with ${code}:\n${said.join('')}`)));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said.push(text);
        if (said.join('').includes('READY ')) ready.resolve();
      });
    }
    await ready.promise.finally(() => clearTimeout(late));
  }

  /** As Ctrl-C does. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    await ended;
  }

  /** Asks its gateway. */
  async ask(who: string, method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const { run } = this;
    const dispatcher = new Agent({ connect: { ca: readFileSync(run.ca_file) } });
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const response = await fetch(run.gateway + path, {
      ...{ method, dispatcher },
      headers: { authorization: `Bearer ${await this.#token(who)}`, ...(body !== undefined && { 'content-type': type }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    await dispatcher.close();
    return { status: response.status, headers: response.headers, text, body: text.startsWith('{') ? JSON.parse(text) : undefined };
  }

  async #token(who: string): Promise<string> {
    const known = this.#tokens.get(who);
    if (known !== undefined && known.until > Date.now()) return known.value;
    const { access_token, expires_in } = await this.#newToken(who);
    this.#tokens.set(who, { value: access_token, until: Date.now() + (expires_in - 30) * 1_000 });
    return access_token;
  }

  async #newToken(who: string): Promise<{ access_token: string; expires_in: number }> {
    const { run } = this;
    const user = run.users.find(({ username }) => username === who);
    const response = await fetch(`${run.keycloak_url}/realms/${run.realm}/protocol/openid-connect/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'password',
        client_id: run.client_id,
        username: who,
        password: user?.password ?? '',
        scope: 'openid',
      }),
    });
    if (!response.ok) throw new Error(`No token for ${who}: ${response.status} ${await response.text()}`);
    return (await response.json()) as { access_token: string; expires_in: number };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (existsSync(this.folder)) await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
