import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { until } from '@biz/testing';
import { Agent, type Dispatcher, fetch } from 'undici';
import { currentRun } from './fleet.ts';

export type Answer = {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked at, not programmed against
  readonly body: any;
  readonly text: string;
};
export type RequestOptions = {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly raw?: string;
  /** What is good is not read to its end: a stream may have none. */
  readonly headOnly?: boolean;
};

let dispatcher: Dispatcher | undefined;

/** Sends one HTTPS request to the gateway, trusting the fleet's own authority only. */
export async function send(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const run = currentRun();
  dispatcher ??= new Agent({ connect: { ca: readFileSync(run.ca_file) }, connections: 64 });
  const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const response = await fetch(run.gateway + path, {
    method,
    dispatcher,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers },
    ...(body === undefined ? {} : { body }),
  });
  if (options.headOnly && response.ok) {
    await response.body?.cancel();
    return { status: response.status, headers: response.headers, text: '', body: undefined };
  }
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A person or program with a token, as a client of the API. */
export class Client {
  readonly #username: string;
  #token: { value: string; expires: number } | undefined;

  constructor(username: string) {
    this.#username = username;
  }

  async token(): Promise<string> {
    if (this.#token && this.#token.expires > Date.now()) return this.#token.value;
    const run = currentRun();
    const user = run.users.find((candidate) => candidate.username === this.#username);
    if (!user) throw new Error(`The realm has no user ${this.#username}.`);
    const value = await passwordGrant(user.username, user.password);
    this.#token = { value: value.access_token, expires: Date.now() + (value.expires_in - 30) * 1000 };
    return this.#token.value;
  }

  async send(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const authorization = `Bearer ${await this.token()}`;
    return send(method, path, { ...options, headers: { authorization, ...options.headers } });
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('GET', path, { headers });
  }

  post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('POST', path, { body, headers });
  }

  patch(path: string, body: unknown, version: number | string): Promise<Answer> {
    return this.send('PATCH', path, { body, headers: { 'if-match': `"${version}"`, 'content-type': 'application/merge-patch+json' } });
  }

  delete(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('DELETE', path, { headers });
  }
}

/** A token by user name and password; the public client of the local realm allows it. */
export async function passwordGrant(
  username: string,
  password: string,
): Promise<{ access_token: string; id_token?: string; expires_in: number }> {
  const run = currentRun();
  const response = await fetch(`${run.keycloak_url}/realms/${run.realm}/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password', client_id: run.client_id, username, password, scope: 'openid' }),
  });
  if (!response.ok) throw new Error(`No token for ${username}: ${response.status} ${await response.text()}`);
  return (await response.json()) as { access_token: string; expires_in: number };
}

const clients = new Map<string, Client>();

/** The client of one of the local realm's users; tokens are kept. */
export function as(username: string): Client {
  const known = clients.get(username) ?? new Client(username);
  clients.set(username, known);
  return known;
}

/** The audit's history of an entity, as soon as it has `count` records of which only the newest may be active. */
export async function auditHistory(entityType: string, entityId: string, count: number, who = 'auditor-a'): Promise<Answer['body'][]> {
  let items: Answer['body'][] = [];
  await until(
    async () => {
      const answer = await as(who).get(`/v1/audit/entities/${entityType}/${entityId}/history?page_size=200`);
      items = answer.body?.items ?? [];
      return answer.status === 200 && items.length >= count && items.slice(0, -1).every((item) => !item.is_active);
    },
    { timeoutMs: 180_000, intervalMs: 100, what: `${count} records of ${entityType} ${entityId} in the audit` },
  );
  return items;
}

/** Text that no other test uses. */
export function unique(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`;
}
