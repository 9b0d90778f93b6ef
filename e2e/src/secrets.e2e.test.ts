// What is secret stands in its file and nowhere else that others look: not among the arguments or in the environment of a process, not in a log, not in
// what the fleet says of itself.
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { as } from './client.ts';
import { currentRun, localDir } from './fleet.ts';

const repository = join(import.meta.dirname, '..', '..');

const administrator = 'the Keycloak administrator’s password';

/** Every text by which a secret of the fleet could be known, by what it is of. */
async function secrets(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const keys = join(localDir(), 'keys');
  for (const name of await readdir(keys)) {
    for (const form of formsOf((await readFile(join(keys, name), 'utf8')).trim())) found.set(form, `keys/${name}`);
  }
  const admin = join(localDir(), 'data', 'keycloak', 'admin-password');
  const password = await readFile(admin, 'utf8').catch(() => undefined); // a Keycloak elsewhere
  if (password) found.set(password.trim(), administrator);
  for (const file of await filesOf(join(localDir(), 'tls'))) {
    const text = await readFile(file, 'utf8');
    // a line in the middle of the key's body
    if (text.includes('PRIVATE KEY')) found.set(text.trim().split('\n')[2] ?? '', `tls/${file.slice(localDir().length + 5)}`);
  }
  return found;
}

/** As it is written, and for keys of bytes as hex and base64url, too. */
function formsOf(text: string): string[] {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return [text];
  const bytes = Buffer.from(text, 'base64');
  return [text, text.slice(0, -1), bytes.toString('base64url'), bytes.toString('hex')];
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Every process of the fleet: those noted, and all that they started. */
async function processes(): Promise<{ pid: string; name: string }[]> {
  const notes = await readdir(join(localDir(), 'run'));
  const noted = await Promise.all(
    notes.filter((name) => name.endsWith('.json')).map(async (name) => JSON.parse(await readFile(join(localDir(), 'run', name), 'utf8'))),
  );
  const names = new Map<string, string>(noted.map((note: { pid: number; name: string }) => [String(note.pid), note.name]));
  const parents = await parentsOf();
  for (let grew = true; grew; ) {
    grew = false;
    for (const [pid, parent] of parents) {
      const name = names.get(parent);
      if (name === undefined || names.has(pid)) continue;
      names.set(pid, `${name} (a child of it)`);
      grew = true;
    }
  }
  return [...names].filter(([pid]) => parents.has(pid)).map(([pid, name]) => ({ pid, name }));
}

async function parentsOf(): Promise<Map<string, string>> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const pairs = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      return [pid, stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? ''] as const;
    }),
  );
  return new Map(pairs.filter(([, parent]) => parent !== ''));
}

/** What of the secrets a text holds, told by name only. */
function held(known: Map<string, string>, where: string, text: string): string[] {
  return [...known].flatMap(([secret, name]) => (text.includes(secret) ? [`${where} holds ${name}`] : []));
}

describe('secrets of the fleet', () => {
  it('are found by this test where they stand', async () => {
    const known = await secrets();
    const names = new Set(known.values());
    for (const name of ['kek', 'checkpoint-key', 'session-key', 'webhook-key', 'identity-client', 'gateway-client'])
      expect(names).toContain(`keys/${name}`);
    expect([...names].filter((name) => name.startsWith('tls/')).length).toBeGreaterThan(7);
    for (const secret of known.keys()) expect(secret.length).toBeGreaterThan(20);
    const [[secret, name] = ['', '']] = known;
    expect(held(known, 'here', `x${secret}x`)).toContain(`here holds ${name}`);
    // an engine elsewhere keeps its secrets there
    if ((await processes()).some((one) => one.name === 'keycloak')) expect(names).toContain(administrator);
  });

  it.skipIf(process.platform !== 'linux')('are in the arguments and the environment of no process', async () => {
    const known = await secrets();
    const all = await processes();
    for (const name of ['supervisor', 'gateway', 'audit', 'mongodb']) expect(all.map((one) => one.name)).toContain(name);
    const faults = await Promise.all(
      all.flatMap(({ pid, name }) =>
        ['cmdline', 'environ'].map(async (part) =>
          held(known, `${part} of ${name}`, await readFile(`/proc/${pid}/${part}`, 'utf8').catch(() => '')),
        ),
      ),
    );
    expect(faults.flat()).toEqual([]);
  });

  it('are in no log, after logins and refusals too', async () => {
    const known = await secrets();
    await as('admin-a').get('/v1/teams');
    await fetch(`${currentRun().keycloak_url}/realms/biz/protocol/openid-connect/token`, { method: 'POST' });
    const files = await filesOf(join(localDir(), 'logs'));
    expect(files.length).toBeGreaterThan(7);
    const faults = await Promise.all(files.map(async (file) => held(known, file, await readFile(file, 'utf8'))));
    expect(faults.flat()).toEqual([]);
  });

  it('are not in what the fleet says of itself', async () => {
    const known = await secrets();
    const runFile = await readFile(join(localDir(), 'run.json'), 'utf8');
    const status = await promisify(execFile)(process.execPath, ['infra/local/bootstrap.mjs', 'status'], {
      cwd: repository,
      env: { ...process.env, BIZ_LOCAL_DIR: localDir() },
    });
    expect(status.stdout).toContain(currentRun().gateway);
    const answers = await Promise.all(
      ['/openapi.json', '/health/live', '/health/ready', '/docs', '/v1/nothing'].map(async (path) => {
        const answer = await as('admin-a').get(path);
        expect(answer.text.length, path).toBeGreaterThan(0);
        return held(known, path, answer.text);
      }),
    );
    expect([...held(known, 'run.json', runFile), ...held(known, 'status', status.stdout + status.stderr), ...answers.flat()]).toEqual([]);
  });
});
