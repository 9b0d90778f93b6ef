import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type Answer, as, unique } from './client.ts';

/** What was acknowledged of one entity. */
export type Made = { readonly type: 'cost_center' | 'team'; readonly id: string; readonly name: string; version: number };
export type Failed = { readonly request: string; readonly status: number; readonly retryAfter: string | null; readonly text: string };

export type Load = {
  readonly made: readonly Made[];
  /** Names of teams that were asked for, each once, whatever was answered; those asked for with an Idempotency-Key. */
  readonly asked: { readonly all: readonly string[]; readonly keyed: readonly string[] };
  /** Answers other than 2xx. */
  readonly failed: readonly Failed[];
  /** Turns of all workers: some writes and reads each. */
  readonly turns: () => number;
  stop(): Promise<void>;
};

/** Reads of every service, one a turn. */
const reads = [
  ...['users', 'client-contractors', 'notifications', 'security/rules', 'teams'].map((list) => () => `/v1/${list}?page_size=1`),
  (id: string) => `/v1/audit/records?entity_type=cost_center&entity_id=${id}&page_size=1`,
];

/**
 * Writes and reads of every service, by workers that go on until they are told to stop. With `keys` each write has an Idempotency-Key, and is
 * repeated under it when it is told to come back, as a careful client does; without, nothing is ever repeated.
 */
export function startLoad({ workers, keys, who = 'admin-a' }: { workers: number; keys: boolean; who?: string }): Load {
  const made: Made[] = [];
  const asked = { all: [] as string[], keyed: [] as string[] };
  const failed: Failed[] = [];
  let going = true;
  let turns = 0;

  async function ask(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Answer | undefined> {
    const key = keys && method !== 'GET' ? { 'idempotency-key': randomUUID() } : {};
    for (;;) {
      const answer = await as(who).send(method, path, { headers: { ...headers, ...key }, ...(body && { body }) });
      if (answer.status < 300) return answer;
      const retryAfter = answer.headers.get('retry-after');
      failed.push({ request: `${method} ${path}`, status: answer.status, retryAfter, text: answer.text });
      if (!('idempotency-key' in key) || answer.status !== 503 || retryAfter === null) return undefined;
      await pause(Number(retryAfter) * 1_000);
    }
  }

  async function turn(): Promise<void> {
    const created = await ask('POST', '/v1/cost-centers', { code: unique('L'), name: 'Um' });
    if (created) {
      const { id } = created.body;
      const centre: Made = { type: 'cost_center', id, name: 'Um', version: 1 };
      made.push(centre);
      const merge = { 'if-match': '"1"', 'content-type': 'application/merge-patch+json' };
      if (await ask('PATCH', `/v1/cost-centers/${id}`, { name: 'Dois' }, merge)) centre.version = 2;
      const name = `Time ${randomUUID()}`;
      asked.all.push(name);
      if (keys) asked.keyed.push(name);
      const team = await ask('POST', '/v1/teams', { name, cost_center_id: id });
      if (team) made.push({ type: 'team', id: team.body.id, name, version: 1 });
      await ask('GET', `/v1/cost-centers/${id}`);
    }
    const read = reads[turns % reads.length];
    const known = made.find(({ type }) => type === 'cost_center');
    if (read && known) await ask('GET', read(known.id));
    turns += 1;
  }

  const worker = async () => {
    while (going) await turn();
  };
  const running = Promise.all(Array.from({ length: workers }, worker));
  return {
    made,
    asked,
    failed,
    turns: () => turns,
    stop: async () => {
      going = false;
      await running;
    },
  };
}
