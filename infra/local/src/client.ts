import { readFile } from 'node:fs/promises';
import { jsonRequest } from './https.ts';
import { passwordToken } from './keycloak-realm.ts';
import { layoutOf } from './layout.ts';
import { type RunFile, readRunFile } from './run-file.ts';

/** Asks the gateway; an answer that is not of success becomes a Refusal. */
export type Ask = (method: string, path: string, body?: string) => Promise<unknown>;

/** What the gateway answered instead of success; its message says all of it. */
export class Refusal extends Error {
  readonly status: number;
  constructor(status: number, { code = '', detail = '', errors = [] }: Problem) {
    const faults = errors.map((fault) => `\n  ${shown(fault.path)}  ${shown(fault.message)}`).join('');
    super(`${status} ${code}: ${shown(detail)}${faults}`);
    this.status = status;
  }
}

/**
 * A client of the gateway, for commands: of the fleet of this clone as its user `platform`; elsewhere with BIZ_GATEWAY, BIZ_TOKEN and, for an authority of its
 * own, BIZ_CA_FILE. `whose` says in words whose token it has to be.
 */
export async function gatewayClient(whose: string): Promise<{ ask: Ask; run: RunFile | undefined }> {
  const { gateway, token, ca, run } = await place(whose);
  const ask: Ask = async (method, path, body) => {
    const answer = await jsonRequest({ method, url: `${gateway}${path}`, ca, token, ...(body !== undefined && { body }) });
    if (answer.status < 300) return answer.body;
    throw new Refusal(answer.status, (answer.body ?? {}) as Problem);
  };
  return { ask, run };
}

/** Anybody may have sent it: what a terminal would take for a command, or would turn round, is shown as its number. */
export function shown(text: string): string {
  return text.replaceAll(/[^\P{C}\n]|[\u2028\u2029]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

async function place(whose: string): Promise<Place> {
  const { BIZ_GATEWAY, BIZ_TOKEN, BIZ_CA_FILE } = process.env;
  if (BIZ_GATEWAY) {
    if (!BIZ_TOKEN) throw new Error(`BIZ_GATEWAY is set, but not BIZ_TOKEN: an access token of ${whose}.`);
    return { gateway: BIZ_GATEWAY, token: BIZ_TOKEN, ca: BIZ_CA_FILE ? await readFile(BIZ_CA_FILE, 'utf8') : undefined, run: undefined };
  }
  const layout = layoutOf();
  const run = await readRunFile(layout.runFile);
  if (run === undefined) {
    throw new Error(`The fleet of this clone does not run (${layout.folder}); "npm start" starts it. BIZ_GATEWAY names another one.`);
  }
  const username = 'platform';
  const password = run.users.find((user) => user.username === username)?.password ?? '';
  const token = await passwordToken({ url: run.keycloak_url, realm: run.realm, clientId: run.client_id, username, password });
  return { gateway: run.gateway, token, ca: await readFile(run.ca_file, 'utf8'), run };
}

interface Place {
  gateway: string;
  token: string;
  ca: string | undefined;
  run: RunFile | undefined;
}

interface Problem {
  code?: string;
  detail?: string;
  errors?: { path: string; message: string }[];
}
