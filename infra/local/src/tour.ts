import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { jsonRequest } from './https.ts';
import { passwordToken } from './keycloak-realm.ts';
import { people, userId } from './people.ts';
import type { RunFile } from './run-file.ts';

const TRAIL_MS = 30_000;

/**
 * A first change, as a client would make it: a manager creates a cost centre and renames it, and an auditor reads the trail. Gives the lines
 * to print. Throws when an answer is not what it should be, or the trail is not there in time.
 */
export async function tour(run: RunFile): Promise<string[]> {
  const ca = await readFile(run.ca_file, 'utf8');
  const ask = async (username: string, method: string, path: string, more: { body?: object; headers?: Record<string, string> } = {}) => {
    const token = await tokenOf(run, username);
    return jsonRequest({ method, url: `${run.gateway}${path}`, ca, token, ...more });
  };
  const code = 'LOJA-001';
  const made = expected(201, await ask('manager-a', 'POST', '/v1/cost-centers', { body: { code, name: 'Loja Centro' } })) as Entity;
  const path = `/v1/cost-centers/${made.id}`;
  const patch = { body: { name: 'Loja Centro Histórico' }, headers: { 'if-match': `"${made.version}"` } };
  const renamed = expected(200, await ask('manager-a', 'PATCH', path, patch)) as Entity;
  const history = `/v1/audit/entities/cost_center/${made.id}/history`;
  const records = await awaitTrail(renamed.version, async () => {
    const answer = await ask('auditor-a', 'GET', history);
    return answer.status === 404 ? [] : recordsOf(expected(200, answer)); // 404 until the first record of it is there
  });
  return [
    'A first change and its audit trail (uma primeira mudança e a sua trilha):',
    `  manager-a creates cost centre ${code} "Loja Centro", then renames it "Loja Centro Histórico";`,
    `  auditor-a reads GET ${history}`,
    ...records.map(lineOf),
    ...(records[0] ? [`  how it ran, once telemetry is on: npm run trace -- ${records[0].trace_id}`] : []),
  ];
}

async function tokenOf(run: RunFile, username: string): Promise<string> {
  const password = run.users.find((user) => user.username === username)?.password ?? '';
  return passwordToken({ url: run.keycloak_url, realm: run.realm, clientId: run.client_id, username, password });
}

async function awaitTrail(versions: number, read: () => Promise<AuditRecord[]>): Promise<AuditRecord[]> {
  for (const deadline = Date.now() + TRAIL_MS; ; ) {
    const records = await read();
    if (records.length >= versions) return records.toSorted((left, right) => left.version - right.version);
    if (Date.now() > deadline) throw new Error(`the audit has ${records.length} of ${versions} versions after ${TRAIL_MS / 1000} s`);
    await pause(100);
  }
}

function lineOf(record: AuditRecord): string {
  const facts = `v${record.version}  ${record.action_type.padEnd(7)} ${record.event_type}  ${record.action_at}`;
  const who = people.find((person) => userId(person.username) === record.owner_id)?.username ?? record.owner_id;
  const from = typeof record.owner_ip === 'string' ? record.owner_ip : 'a sealed address';
  return `    ${facts}\n        by ${record.owner_type} ${who} (${record.owner_role}) from ${from}, trace ${record.trace_id}\n        ${JSON.stringify(record.payload)}`;
}

function recordsOf(body: unknown): AuditRecord[] {
  return (body as { items: AuditRecord[] }).items;
}

function expected(status: number, answer: { status: number; body: unknown }): unknown {
  if (answer.status === status) return answer.body;
  throw new Error(`the gateway answered ${answer.status} instead of ${status}: ${JSON.stringify(answer.body)?.slice(0, 300)}`);
}

interface Entity {
  id: string;
  version: number;
}

interface AuditRecord {
  version: number;
  action_type: string;
  event_type: string;
  action_at: string;
  owner_id: string;
  owner_type: string;
  owner_role: string;
  /** An object when it is sealed to the reader. */
  owner_ip: unknown;
  trace_id: string;
  payload: unknown;
}
